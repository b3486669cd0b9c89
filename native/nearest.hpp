// A list of the nearest rows so far. Distances are small integers, so no heap is kept: rows below a bound are appended,
// and the list is cut by counting when it grows long, which lowers the bound.
#pragma once

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "memory.hpp"
#include "path.hpp"

namespace bitreid {

using i64 = std::int64_t;

constexpr u32 kFar = 0xffffffff;       // the distance of a row that may not be found
constexpr size_t kCounted = 1u << 16;  // distances up to this are cut by counting, larger ones by partition

// Keys of rows nearer than a bound, in the order in which they came. `trim` keeps the nearest `w` of them by
// (distance, id).
class Nearest {
public:
    // Only rows nearer than `below` are kept; `ties`: keep all rows as near as the last of the `w`; `in_order`: rows come
    // in ascending order.
    Nearest(size_t w, u32 below, const i64 *ids, bool ties, size_t largest, bool in_order = true)
        : w_(w), trim_at_(w < kRowMask / 4 ? 2 * w + 256 : w), below_(below), ids_(ids), ties_(ties), largest_(largest),
          first_come_(!ids && in_order) {}

    void add(const Path &path, const u32 *distances, size_t n, size_t first) {
        make_room(n);
        size_ += path.select(distances, n, below_, first, keys_.get() + size_);
    }
    void find(const Path &path, const u8 *query, Rows rows, size_t first, size_t n, const u8 *allowed, const u8 *mask) {
        make_room(n);
        size_ += path.find(query, rows, first, n, {below_, allowed, mask}, keys_.get() + size_);
    }
    void add_listed(const u32 *distances, size_t n, const u64 *rows) {
        make_room(n);
        for (size_t i = 0; i < n; i++)
            if (distances[i] < below_) keys_[size_++] = u64{distances[i]} << kRowBits | (rows[i] & kRowMask);
    }
    void append(Nearest &later) {
        keys_.grow(size_ + later.size_ + 1, size_);
        std::copy(later.begin(), later.end(), keys_.get() + size_);
        size_ += later.size_;
    }

    // Cuts the list to the nearest `w`.
    void trim() {
        if (size_ <= w_ || !w_) {
            if (!w_) size_ = 0;
            return;
        }
        const auto [last, room] = last_distance();
        if (!ties_ && !first_come_) cut_ties_by_id(last, room);
        // Up to the last tie that fits, rows as near as that one stay; after it, nearer ones.
        size_t i = 0, kept = 0, ties_left = ties_ ? size_ + 1 : room;
        const u64 tie = last << kRowBits, last_tie = tie | kRowMask;
        for (; i < size_ && ties_left; i++) {
            const u64 key = keys_[kept] = keys_[i];
            kept += key <= last_tie;
            ties_left -= key >= tie && key <= last_tie;
        }
        for (; i < size_; i++) {
            const u64 key = keys_[kept] = keys_[i];
            kept += key < tie;
        }
        size_ = kept;
        // Of rows to come, ids may be smaller than those of ties that are here; rows in order never are.
        below_ = static_cast<u32>(std::min<u64>(below_, last + (ties_ || !first_come_ ? 1 : 0)));
    }

    // By (distance, id, row).
    void sort() {
        if (!ids_) {
            std::sort(begin(), end());
            return;
        }
        // By copies of the ids: if a caller changes them meanwhile, the order is wrong, but the sort still ends.
        std::vector<std::tuple<u64, i64, u64>> sorted;
        sorted.reserve(size_);
        for (u64 key : *this) sorted.emplace_back(key >> kRowBits, ids_[key & kRowMask], key);
        std::sort(sorted.begin(), sorted.end());
        std::transform(sorted.begin(), sorted.end(), begin(), [](const auto &each) { return std::get<2>(each); });
    }

    u64 *begin() { return keys_.get(); }
    u64 *end() { return keys_.get() + size_; }
    size_t size() const { return size_; }

private:
    void make_room(size_t n) {
        if (size_ >= trim_at_) {
            trim();
            trim_at_ = std::max(trim_at_, 2 * size_);
        }
        if (size_ + n + 16 > keys_.capacity()) keys_.grow(std::max(size_, std::min(trim_at_, kFirstKeys)) + n + 16, size_);
    }

    // The distance of the w-th nearest, and how many at that distance still fit.
    std::pair<u64, size_t> last_distance() {
        if (largest_ >= kCounted) {
            std::vector<u64> distances(begin(), end());
            std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(w_ - 1),
                             distances.end());
            const u64 last = distances[w_ - 1] >> kRowBits;
            const auto nearer = std::count_if(begin(), end(), [&](u64 key) { return key >> kRowBits < last; });
            return {last, w_ - static_cast<size_t>(nearer)};
        }
        // Two counters in turn: a single one would wait for its own last addition where distances repeat.
        counts_.assign(2 * (largest_ + 1), 0);
        u32 *even = counts_.data(), *odd = even + largest_ + 1;
        size_t i = 0;
        for (; i + 2 <= size_; i += 2) {
            even[keys_[i] >> kRowBits]++;
            odd[keys_[i + 1] >> kRowBits]++;
        }
        if (i < size_) even[keys_[i] >> kRowBits]++;
        size_t distance = 0, nearer = 0;
        while (nearer + even[distance] + odd[distance] < w_) nearer += even[distance] + odd[distance], distance++;
        return {distance, w_ - nearer};
    }

    // 0 where the row is the id, which the key ends with.
    i64 id_of(u64 key) const { return ids_ ? ids_[key & kRowMask] : 0; }

    // Drops the ties beyond `room`, those of larger id.
    void cut_ties_by_id(u64 last, size_t room) {
        std::vector<std::pair<i64, u64>> tied;
        for (u64 key : *this)
            if (key >> kRowBits == last) tied.emplace_back(id_of(key), key);
        if (tied.size() == room) return;
        const auto cut = tied.begin() + static_cast<std::ptrdiff_t>(room);
        std::nth_element(tied.begin(), cut, tied.end());
        const auto first_out = *cut;
        size_ = static_cast<size_t>(std::remove_if(begin(), end(), [&](u64 key) {
            return key >> kRowBits == last && std::pair(id_of(key), key) >= first_out;
        }) - begin());
    }

    static constexpr size_t kFirstKeys = 1 << 17;
    size_t w_, trim_at_, size_ = 0;
    u32 below_;
    const i64 *ids_;
    bool ties_;
    size_t largest_;
    bool first_come_;  // of ties, those that came first are kept
    Buffer<u64> keys_;
    std::vector<u32> counts_;
};

}  // namespace bitreid
