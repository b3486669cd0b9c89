// Exact top-k, range, two-stage search and counts over rows of packed codes, in (distance, id) order.
//
// Distances are small integers, so no heap is kept: rows below a bound are appended, and the list is cut by counting
// when it grows long, which lowers the bound. A block of queries shares each pass over the rows.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "paths.hpp"

namespace bitreid {

using i64 = std::int64_t;
using std::size_t;

constexpr u32 kFar = 0xffffffff;         // the distance of a row that may not be found
constexpr size_t kCounted = 1u << 16;    // distances up to this are cut by counting, larger ones by partition
constexpr size_t kQueriesInBlock = 64;
constexpr size_t kShared = 6;             // so many queries, and more, share tiles
constexpr size_t kRowsInScan = 2048;     // of one query: the distances of so many rows stay in the first-level cache
constexpr size_t kListBytes = 48 << 20;    // of all the short lists of a block of queries, about
constexpr size_t kSweepBytes = 512 * 1024;  // of long codes, which a block of queries visits before it goes on

struct Codes {
    Rows rows;
    size_t n;
};

// Which bits count and how much: the distance is the sum over `masks` of (bits that differ in mask i) << i.
// No masks: every bit counts once.
struct Weights {
    const u8 *masks = nullptr;
    size_t n = 0;
};

struct Settings {
    const Path *path;
    size_t n_threads = 1;
    const u8 *allowed = nullptr;  // a byte a row, 0: may not be found; null: all may
    const i64 *ids = nullptr;     // null: the row is the id
};

// Calls `task(0) .. task(n - 1)`, on several threads if there are several; passes on the first exception.
template <typename Task>
void parallel(size_t n, size_t n_threads, Task task) {
    n_threads = std::min(n, n_threads);
    if (n_threads <= 1) {
        for (size_t i = 0; i < n; i++) task(i);
        return;
    }
    std::atomic<size_t> next{0};
    std::exception_ptr failed;
    std::mutex failing;
    auto work = [&] {
        try {
            for (size_t i = next++; i < n; i = next++) task(i);
        } catch (...) {
            std::lock_guard<std::mutex> lock(failing);
            if (!failed) failed = std::current_exception();
            next = n;
        }
    };
    std::vector<std::thread> threads;
    try {
        for (size_t t = 1; t < n_threads; t++) threads.emplace_back(work);
    } catch (const std::exception &) {
        // No more threads to be had: those there are do the work.
    }
    work();
    for (auto &thread : threads) thread.join();
    if (failed) std::rethrow_exception(failed);
}

// Memory that a thread has used and will soon use again: the system would clear it each time.
class Spare {
public:
    ~Spare() {
        for (auto [data, size] : blocks_) std::free(data);
    }
    // A block of at least `size` bytes, and how many.
    std::pair<void *, size_t> take(size_t size) {
        for (auto &block : blocks_)
            if (block.second >= size && block.second <= 4 * size) {
                const auto taken = std::exchange(block, blocks_.back());
                blocks_.pop_back();
                held_ -= taken.second;
                return taken;
            }
        void *data = std::malloc(size);
        if (!data) throw std::bad_alloc();
        return {data, size};
    }
    void give(void *data, size_t size) noexcept {
        if (held_ + size > kHeld || blocks_.size() == kBlocks) {
            std::free(data);
            return;
        }
        blocks_.emplace_back(data, size);
        held_ += size;
    }
    static Spare &mine() {
        thread_local Spare spare;
        return spare;
    }

private:
    static constexpr size_t kHeld = 64 << 20, kBlocks = 256;
    Spare() { blocks_.reserve(kBlocks); }
    std::vector<std::pair<void *, size_t>> blocks_;
    size_t held_ = 0;
};

// Numbers without the cost of setting them.
template <typename T>
class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
    Buffer &operator=(Buffer &&other) noexcept {
        std::swap(data_, other.data_);
        std::swap(capacity_, other.capacity_);
        return *this;
    }
    ~Buffer() {
        if (data_) Spare::mine().give(data_, capacity_ * sizeof(T));
    }
    T *get() { return data_; }
    T &operator[](size_t i) { return data_[i]; }
    size_t capacity() const { return capacity_; }
    // Room for `capacity` numbers, of which the first `n_kept` stay.
    void grow(size_t capacity, size_t n_kept = 0) {
        if (capacity <= capacity_) return;
        const auto [data, size] = Spare::mine().take(std::max(capacity, 2 * capacity_) * sizeof(T));
        if (n_kept) std::memcpy(data, data_, n_kept * sizeof(T));
        if (data_) Spare::mine().give(data_, capacity_ * sizeof(T));
        data_ = static_cast<T *>(data);
        capacity_ = size / sizeof(T);
    }

private:
    T *data_ = nullptr;
    size_t capacity_ = 0;
};

// The rows at most so far away, of which the nearest `w` by (distance, id) are wanted: in row order, as keys.
class Nearest {
public:
    // `below` bounds what is looked for; `ties`: keep all rows as near as the last of the `w`.
    Nearest(size_t w, u32 below, const i64 *ids, bool ties, size_t largest)
        : w_(w), trim_at_(w < kRowMask / 4 ? 2 * w + 256 : w), below_(below), ids_(ids), ties_(ties), largest_(largest) {}

    // Rows must come in order.
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

    // Cuts the list to what is wanted.
    void trim() {
        if (size_ <= w_ || !w_) {
            if (!w_) size_ = 0;
            return;
        }
        const auto [last, room] = last_distance();
        if (!ties_ && ids_) cut_ties_by_id(last, room);
        // Up to the last tie that fits, rows as near as that one stay; after it, nearer ones.
        size_t i = 0, kept = 0, ties_left = ties_ ? size_ + 1 : room;
        for (const u64 beyond = (last + 1) << kRowBits, tie = last << kRowBits; i < size_ && ties_left; i++) {
            const u64 key = keys_[kept] = keys_[i];
            kept += key < beyond;
            ties_left -= key >= tie && key < beyond;
        }
        for (const u64 tie = last << kRowBits; i < size_; i++) {
            const u64 key = keys_[kept] = keys_[i];
            kept += key < tie;
        }
        size_ = kept;
        // Of rows to come, ids may be smaller than those of ties that are here; rows never are.
        below_ = static_cast<u32>(std::min<u64>(below_, last + (ties_ || ids_ ? 1 : 0)));
    }

    // By (distance, id, row).
    void sort() {
        if (!ids_) {
            std::sort(begin(), end());
            return;
        }
        std::sort(begin(), end(), [this](u64 a, u64 b) {
            if (a >> kRowBits != b >> kRowBits) return a < b;
            const i64 id_a = ids_[a & kRowMask], id_b = ids_[b & kRowMask];
            return id_a != id_b ? id_a < id_b : a < b;
        });
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
        // Two counters in turn: one would wait for itself where distances repeat.
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

    // Drops the ties beyond `room`, those of larger id.
    void cut_ties_by_id(u64 last, size_t room) {
        std::vector<std::pair<i64, u64>> tied;
        for (u64 key : *this)
            if (key >> kRowBits == last) tied.emplace_back(ids_[key & kRowMask], key);
        if (tied.size() == room) return;
        const auto cut = tied.begin() + static_cast<std::ptrdiff_t>(room);
        std::nth_element(tied.begin(), cut, tied.end());
        const auto first_out = *cut;
        size_ = static_cast<size_t>(std::remove_if(begin(), end(), [&](u64 key) {
            return key >> kRowBits == last && std::pair(ids_[key & kRowMask], key) >= first_out;
        }) - begin());
    }

    static constexpr size_t kFirstKeys = 1 << 17;
    size_t w_, trim_at_, size_ = 0;
    u32 below_;
    const i64 *ids_;
    bool ties_;
    size_t largest_;
    Buffer<u64> keys_;
    std::vector<u32> counts_;
};

// A block of queries against rows, a tile at a time. One a thread.
class Scanner {
public:
    Scanner(const Settings &settings, const Codes &queries, size_t first_query, size_t n_queries, Rows rows,
            const Weights &weights)
        : settings_(settings), rows_(rows), n_queries_(n_queries) {
        for (size_t i = 0; i < weights.n; i++) {
            const u8 *mask = weights.masks + i * rows.n_bytes;
            const bool any = std::any_of(mask, mask + rows.n_bytes, [](u8 byte) { return byte != 0; });
            if (any || (i + 1 == weights.n && passes_.empty()))
                passes_.push_back({mask, static_cast<int>(i), !passes_.empty()});
        }
        if (!weights.n) passes_.push_back({});
        const size_t n_words = padded_words(rows.n_bytes);
        words_.resize(passes_.size() * n_queries * n_words);
        for (size_t p = 0; p < passes_.size(); p++)
            for (size_t q = 0; q < n_queries; q++) {
                u64 *words = words_.data() + (p * n_queries + q) * n_words;
                const u8 *query = queries.rows.at(first_query + q), *mask = passes_[p].mask;
                for (size_t i = 0; i < rows.n_bytes; i += 8) {
                    const size_t rest = rows.n_bytes - i;
                    words[i / 8] = load_word(query + i, rest) & (mask ? load_word(mask + i, rest) : ~u64{0});
                }
                queries_.push_back(words);
            }
        shared_ = n_queries >= kShared && settings.path->load;
        if (shared_) {
            prepared_words_ = words_;
            for (size_t i = 0; i < queries_.size(); i++) {
                prepared_.push_back(prepared_words_.data() + i * n_words);
                settings.path->prepare(prepared_words_.data() + i * n_words, n_words);
            }
        }
        n_rows_ = n_queries == 1 ? kRowsInScan : rows_in_tile(rows.n_bytes);
        distances_.grow(kQueriesAtOnce * n_rows_);
        if (shared_) tiles_.grow(passes_.size() * n_rows_ * n_words);
    }

    // Calls `found(query, distances, n, first)` for tiles of rows `first .. last`, in order.
    template <typename Found>
    void scan(size_t first, size_t last, Found found) {
        for (; first < last; first += n_rows_) {
            const size_t n = std::min(n_rows_, last - first);
            const size_t n_allowed = settings_.allowed ? count_allowed(first, n) : n;
            const bool few = 4 * n_allowed < n;
            if (!n_allowed) continue;
            if (!few && shared_) load(first, n);
            for (size_t q = 0; q < n_queries_; q += kQueriesAtOnce) {
                const size_t n_queries = std::min(kQueriesAtOnce, n_queries_ - q);
                if (!few && n_queries_ > 1) prefetch(first + n, std::min(first + 2 * n, last), q);
                if (few)
                    visit(q, n_queries, first, n);
                else
                    compare(q, n_queries, first, n, n_allowed < n);
                for (size_t i = 0; i < n_queries; i++) found(q + i, distances_.get() + i * n_rows_, n, first);
            }
        }
    }

    // Adds to each query's list what lies below its bound in rows `first .. last`.
    void find(size_t first, size_t last, std::vector<Nearest> &lists) {
        const bool words = (rows_.n_bytes == 8 || rows_.n_bytes == 4) &&
                           rows_.stride == static_cast<std::ptrdiff_t>(rows_.n_bytes);
        if (!settings_.path->find || !words || passes_.size() > 1 || passes_[0].shift) {
            scan(first, last, [&](size_t q, const u32 *distances, size_t n, size_t row) {
                lists[q].add(*settings_.path, distances, n, row);
            });
            return;
        }
        for (; first < last; first += kRowsInScan) {
            const size_t n = std::min(kRowsInScan, last - first);
            if (settings_.allowed && !count_allowed(first, n)) continue;
            for (size_t q = 0; q < n_queries_; q++)
                lists[q].find(*settings_.path, bytes_of(0, q), rows_, first, n, settings_.allowed, passes_[0].mask);
        }
    }

    // (Inlined by force: GCC takes calls of a function that does nothing but prefetch for needless.)
    __attribute__((always_inline)) void prefetch(u64 key) const {
        const u8 *row = rows_.at(key & kRowMask);
        for (size_t i = 0; i < rows_.n_bytes; i += 64) __builtin_prefetch(row + i, 0, 2);
    }

    // The distances of one query to listed rows.
    void gather(size_t query, const u64 *keys, size_t n, u32 *out) {
        for (size_t p = 0; p < passes_.size(); p++)
            settings_.path->gather(bytes_of(p, query), rows_, keys, n, passes_[p], out);
    }

private:
    const u8 *bytes_of(size_t pass, size_t query) const {
        return reinterpret_cast<const u8 *>(queries_[pass * n_queries_ + query]);
    }

    size_t count_allowed(size_t first, size_t n) const {
        size_t n_allowed = 0;
        for (size_t i = first; i < first + n; i++) n_allowed += settings_.allowed[i] != 0;
        return n_allowed;
    }

    void load(size_t first, size_t n) {
        const size_t size = n_rows_ * padded_words(rows_.n_bytes);
        for (size_t p = 0; p < passes_.size(); p++)
            settings_.path->load(rows_, first, n, passes_[p].mask, tiles_.get() + p * size);
    }

    // While a tile is compared, the next one comes closer: its share for the queries from `q` on. (Inlined by force: GCC
    // takes calls of a function that does nothing but prefetch for needless.)
    __attribute__((always_inline)) void prefetch(size_t first, size_t last, size_t q) const {
        const size_t n = last > first ? last - first : 0;
        const size_t stop = first + n * std::min(q + kQueriesAtOnce, n_queries_) / n_queries_;
        for (size_t row = first + n * q / n_queries_; row < stop; row++)
            for (size_t i = 0; i < rows_.n_bytes; i += 64) __builtin_prefetch(rows_.at(row) + i, 0, 2);
    }

    // The distances of a few queries to a tile's rows.
    void compare(size_t q, size_t n_queries, size_t first, size_t n, bool masked) {
        const size_t n_words = padded_words(rows_.n_bytes), size = n_rows_ * n_words;
        for (size_t p = 0; p < passes_.size(); p++) {
            if (shared_) {
                settings_.path->block(prepared_.data() + p * n_queries_ + q, n_queries, tiles_.get() + p * size, n,
                                      n_words, passes_[p], distances_.get(), n_rows_);
                continue;
            }
            for (size_t i = 0; i < n_queries; i++)
                settings_.path->scan(bytes_of(p, q + i), rows_, first, n, passes_[p], distances_.get() + i * n_rows_);
        }
        if (!masked) return;
        const u8 *allowed = settings_.allowed + first;
        for (size_t i = 0; i < n_queries; i++) {
            u32 *distances = distances_.get() + i * n_rows_;
            for (size_t j = 0; j < n; j++) distances[j] |= allowed[j] ? 0 : kFar;
        }
    }

    // The same where only few rows may be found.
    void visit(size_t q, size_t n_queries, size_t first, size_t n) {
        few_.clear();
        for (size_t i = first; i < first + n; i++)
            if (settings_.allowed[i]) few_.push_back(i);
        few_distances_.resize(few_.size());
        for (size_t i = 0; i < n_queries; i++) {
            u32 *distances = distances_.get() + i * n_rows_;
            gather(q + i, few_.data(), few_.size(), few_distances_.data());
            std::fill(distances, distances + n, kFar);
            for (size_t j = 0; j < few_.size(); j++) distances[few_[j] - first] = few_distances_[j];
        }
    }

    Settings settings_;
    Rows rows_;
    size_t n_queries_, n_rows_;
    std::vector<Pass> passes_;
    std::vector<u64> words_, prepared_words_;
    std::vector<const u64 *> queries_, prepared_;
    bool shared_ = false;  // the queries share tiles
    Buffer<u32> distances_;
    Buffer<u64> tiles_;
    std::vector<u64> few_;
    std::vector<u32> few_distances_;
};

inline size_t largest_distance(Rows rows, const Weights &weights) {
    if (!weights.n) return 8 * rows.n_bytes;
    size_t sum = 0;
    for (size_t i = 0; i < weights.n; i++)
        for (size_t j = 0; j < rows.n_bytes; j++)
            sum += static_cast<size_t>(__builtin_popcount(weights.masks[i * rows.n_bytes + j])) << i;
    return sum;
}

// A bound below which, judged by a sample, lie `w` rows and some more; kFar where guessing would not pay.
inline std::vector<u32> guess_bounds(const Settings &settings, const Codes &queries, size_t first_query,
                                     size_t n_queries, const Codes &gallery, const Weights &weights, size_t w) {
    std::vector<u32> bounds(n_queries, kFar);
    const size_t largest = largest_distance(gallery.rows, weights), n_bytes = gallery.rows.n_bytes;
    if (w < 512 || gallery.n < 16 * 1024 || w > gallery.n / 4 || largest >= kCounted) return bounds;
    const size_t n_sample = std::clamp<size_t>((n_queries > 1 ? 192 : 48) * (gallery.n / w), 1024,
                                                std::min<size_t>(gallery.n / 8, n_queries > 1 ? 16384 : 8192));
    Buffer<u8> sample;
    sample.grow(n_sample * n_bytes);
    size_t n = 0;
    for (size_t i = 0; i < n_sample; i++) {
        const size_t row = i * gallery.n / n_sample;
        if (!settings.allowed || settings.allowed[row])
            std::memcpy(sample.get() + n++ * n_bytes, gallery.rows.at(row), n_bytes);
    }
    const double expected = static_cast<double>(w) * static_cast<double>(n_sample) / static_cast<double>(gallery.n);
    const size_t wanted = static_cast<size_t>(1.02 * expected + 3 * std::sqrt(expected));
    if (wanted >= n) return bounds;
    const Settings unmasked{settings.path};
    Scanner scanner(unmasked, queries, first_query, n_queries,
                    {sample.get(), static_cast<std::ptrdiff_t>(n_bytes), n_bytes}, weights);
    std::vector<u32> counts(n_queries * (largest + 1));
    scanner.scan(0, n, [&](size_t q, const u32 *distances, size_t rows, size_t) {
        for (size_t i = 0; i < rows; i++) counts[q * (largest + 1) + distances[i]]++;
    });
    for (size_t q = 0; q < n_queries; q++) {
        const u32 *of_query = counts.data() + q * (largest + 1);
        size_t sum = 0;
        u32 distance = 0;
        while (sum <= wanted) sum += of_query[distance++];
        bounds[q] = distance;
    }
    return bounds;
}

// Per query of a block, its `w` nearest rows, trimmed, in row order.
inline std::vector<Nearest> nearest(const Settings &settings, const Codes &queries, size_t first_query,
                                    size_t n_queries, const Codes &gallery, const Weights &weights, size_t w,
                                    bool ties, bool guess = true) {
    const size_t largest = largest_distance(gallery.rows, weights);
    std::vector<u32> bounds(n_queries, kFar);
    if (guess) bounds = guess_bounds(settings, queries, first_query, n_queries, gallery, weights, w);
    // Slices of rows, a thread each.
    const size_t n_slices = std::clamp<size_t>(gallery.n / 4096, 1, settings.n_threads);
    std::vector<std::vector<Nearest>> of_slices(n_slices);
    parallel(n_slices, settings.n_threads, [&](size_t slice) {
        auto &lists = of_slices[slice];
        for (u32 bound : bounds) lists.emplace_back(w, bound, settings.ids, ties, largest);
        Scanner scanner(settings, queries, first_query, n_queries, gallery.rows, weights);
        scanner.find(slice * gallery.n / n_slices, (slice + 1) * gallery.n / n_slices, lists);
    });
    std::vector<Nearest> lists = std::move(of_slices[0]);
    parallel(n_queries, n_slices, [&](size_t q) {
        for (size_t slice = 1; slice < n_slices; slice++) lists[q].append(of_slices[slice][q]);
        const bool missed = lists[q].size() < w && bounds[q] != kFar;
        if (missed)
            lists[q] = std::move(nearest(settings, queries, first_query + q, 1, gallery, weights, w, ties, false)[0]);
        else
            lists[q].trim();
    });
    return lists;
}

// The `k` nearest by long code among the rows of `lists`, in (distance, id) order. `sweep`: all queries visit one
// stretch of rows before they go on.
inline std::vector<Nearest> rerank(const Settings &settings, const Codes &queries, size_t first_query,
                                   const Codes &gallery, const Weights &weights, std::vector<Nearest> &lists, size_t k,
                                   bool sweep) {
    constexpr size_t kListed = 1024;
    const size_t n_queries = lists.size(), largest = largest_distance(gallery.rows, weights);
    // A stretch stays in the second-level cache, unless the rows to visit there would be too few.
    size_t n_listed = n_queries;
    for (const auto &list : lists) n_listed += list.size();
    const size_t worthwhile = 32 * gallery.n / n_listed * n_queries + 1;
    const size_t stretch = sweep ? std::max(kSweepBytes / gallery.rows.n_bytes, worthwhile) : gallery.n;
    // Several threads: a slice of rows each, for all queries.
    const size_t n_slices = std::clamp<size_t>(gallery.n / 4096, 1, settings.n_threads);
    std::vector<std::vector<Nearest>> of_slices(n_slices);
    parallel(n_slices, settings.n_threads, [&](size_t slice) {
        auto &best = of_slices[slice];
        for (size_t q = 0; q < n_queries; q++) best.emplace_back(k, kFar, settings.ids, false, largest);
        Scanner scanner(settings, queries, first_query, n_queries, gallery.rows, weights);
        std::vector<u32> distances(kListed);
        auto visit = [&](size_t q, const u64 *from, const u64 *to) {
            for (; from < to; from += kListed) {
                const size_t n = std::min<size_t>(kListed, static_cast<size_t>(to - from));
                scanner.gather(q, from, n, distances.data());
                best[q].add_listed(distances.data(), n, from);
            }
        };
        const size_t first = slice * gallery.n / n_slices, last = (slice + 1) * gallery.n / n_slices;
        auto row_below = [](u64 key, u64 row) { return (key & kRowMask) < row; };
        std::vector<const u64 *> next, ends;
        for (auto &list : lists) {
            next.push_back(std::lower_bound(list.begin(), list.end(), first, row_below));
            ends.push_back(std::lower_bound(list.begin(), list.end(), last, row_below));
        }
        // The rows of one query come closer while those of the query before are compared.
        struct {
            size_t query;
            const u64 *from, *to;
        } now{0, nullptr, nullptr};
        for (size_t row = first; row < last; row += stretch) {
            const size_t stop = last - row < stretch ? last : row + stretch;
            for (size_t q = 0; q < n_queries; q++) {
                const u64 *from = next[q], *to = from;
                if (stop == last) to = ends[q];
                while (to < ends[q] && (*to & kRowMask) < stop) scanner.prefetch(*to++);
                visit(now.query, now.from, now.to);
                now = {q, from, to};
                next[q] = to;
            }
        }
        visit(now.query, now.from, now.to);
    });
    std::vector<Nearest> best = std::move(of_slices[0]);
    for (size_t q = 0; q < n_queries; q++) {
        for (size_t slice = 1; slice < n_slices; slice++) best[q].append(of_slices[slice][q]);
        best[q].trim();
        best[q].sort();
    }
    return best;
}

// Calls `found(query, list)` with each query's `k` nearest rows, in order.
template <typename Found>
void search(const Settings &settings, const Codes &queries, const Codes &gallery, const Weights &weights, size_t k,
            Found found) {
    for (size_t q = 0; q < queries.n; q += kQueriesInBlock) {
        const size_t n = std::min(kQueriesInBlock, queries.n - q);
        auto lists = nearest(settings, queries, q, n, gallery, weights, k, false);
        for (size_t i = 0; i < n; i++) {
            lists[i].sort();
            found(q + i, lists[i]);
        }
    }
}

// The same for all rows at a distance below `below`.
template <typename Found>
void range(const Settings &settings, const Codes &queries, const Codes &gallery, const Weights &weights, u32 below,
           Found found) {
    for (size_t q = 0; q < queries.n; q += kQueriesInBlock) {
        const size_t n = std::min(kQueriesInBlock, queries.n - q);
        const size_t n_slices = std::clamp<size_t>(gallery.n / 4096, 1, settings.n_threads);
        std::vector<std::vector<Nearest>> of_slices(n_slices);
        parallel(n_slices, settings.n_threads, [&](size_t slice) {
            for (size_t i = 0; i < n; i++) of_slices[slice].emplace_back(gallery.n, below, settings.ids, true, 0);
            Scanner scanner(settings, queries, q, n, gallery.rows, weights);
            scanner.find(slice * gallery.n / n_slices, (slice + 1) * gallery.n / n_slices, of_slices[slice]);
        });
        for (size_t i = 0; i < n; i++) {
            Nearest &list = of_slices[0][i];
            for (size_t slice = 1; slice < n_slices; slice++) list.append(of_slices[slice][i]);
            list.sort();
            found(q + i, list);
        }
    }
}

// The same for the `k` nearest by long code among the `w` nearest by short code (with `ties`, and those as near).
template <typename Found>
void two_stage(const Settings &settings, const Codes &short_queries, const Codes &short_gallery,
               const Weights &short_weights, const Codes &queries, const Codes &gallery, const Weights &weights,
               size_t w, size_t k, bool ties, bool sweep, Found found) {
    const size_t in_block = std::clamp<size_t>(kListBytes / (2 * sizeof(u64) * w + 1), 8, kQueriesInBlock);
    for (size_t q = 0; q < queries.n; q += in_block) {
        const size_t n = std::min(in_block, queries.n - q);
        auto lists = nearest(settings, short_queries, q, n, short_gallery, short_weights, w, ties);
        auto best = rerank(settings, queries, q, gallery, weights, lists, k, sweep);
        for (size_t i = 0; i < n; i++) found(q + i, best[i]);
    }
}

// How many allowed rows are nearer than, and at, each query's `n_thresholds` distances, by the prefixes of the codes
// of so many bytes: `thresholds`, `nearer` and `at` are (n_lengths, n_queries, n_thresholds). Fewer than 2^32 rows.
inline void count(const Settings &settings, const Codes &queries, const Codes &gallery,
                  const std::vector<size_t> &lengths, const i64 *thresholds, size_t n_thresholds, i64 *nearer, i64 *at) {
    constexpr size_t kBlock = 32;
    parallel((queries.n + kBlock - 1) / kBlock, settings.n_threads, [&](size_t block) {
        const size_t q = block * kBlock, n = std::min(kBlock, queries.n - q);
        const size_t n_counts = 8 * lengths.back() + 2;
        std::vector<u32> counts(lengths.size() * n * n_counts);
        // What a longer prefix has beyond a shorter one is a pass of its own; the sums stand in `so_far`.
        std::vector<Scanner> scanners;
        for (size_t l = 0; l < lengths.size(); l++) {
            const size_t start = l ? lengths[l - 1] : 0, n_bytes = lengths[l] - start;
            const Codes part{{queries.rows.data + start, queries.rows.stride, n_bytes}, queries.n};
            scanners.emplace_back(settings, part, q, n, Rows{gallery.rows.data + start, gallery.rows.stride, n_bytes},
                                  Weights{});
        }
        const size_t tile = rows_in_tile(lengths.back());
        std::vector<u32> so_far(n * tile);
        for (size_t first = 0; first < gallery.n; first += tile) {
            const size_t last = std::min(gallery.n, first + tile);
            std::fill(so_far.begin(), so_far.end(), 0);
            for (size_t l = 0; l < lengths.size(); l++)
                scanners[l].scan(first, last, [&](size_t i, const u32 *distances, size_t rows, size_t row) {
                    u32 *sums = so_far.data() + i * tile + (row - first);
                    u32 *of_query = counts.data() + (l * n + i) * n_counts;
                    // A row that may not be found has a sum past all counts from here on.
                    for (size_t r = 0; r < rows; r++) sums[r] = (sums[r] + distances[r]) | (distances[r] == kFar ? kFar : 0);
                    for (size_t r = 0; r < rows; r++)
                        if (!settings.allowed || sums[r] != kFar) of_query[sums[r]]++;
                });
        }
        for (size_t l = 0; l < lengths.size(); l++)
            for (size_t i = 0; i < n; i++) {
                const u32 *of_query = counts.data() + (l * n + i) * n_counts;
                // Entry d: the number of rows nearer than d.
                std::vector<i64> up_to(n_counts);
                for (size_t d = 1; d < n_counts; d++) up_to[d] = up_to[d - 1] + of_query[d - 1];
                const i64 most = static_cast<i64>(n_counts) - 1;
                const size_t row = (l * queries.n + q + i) * n_thresholds;
                for (size_t t = row; t < row + n_thresholds; t++) {
                    const i64 low = std::clamp<i64>(thresholds[t], 0, most);
                    const i64 high = thresholds[t] >= most ? most : std::clamp<i64>(thresholds[t] + 1, 0, most);
                    nearer[t] = up_to[static_cast<size_t>(low)];
                    at[t] = up_to[static_cast<size_t>(high)] - nearer[t];
                }
            }
    });
}

// All distances, (n_queries, n_gallery).
inline void all_distances(const Settings &settings, const Codes &queries, const Codes &gallery, const Weights &weights,
                          u32 *out) {
    const size_t n_slices = std::clamp<size_t>(gallery.n / 1024, 1, settings.n_threads);
    parallel(n_slices, settings.n_threads, [&](size_t slice) {
        for (size_t q = 0; q < queries.n; q += kQueriesInBlock) {
            Scanner scanner(settings, queries, q, std::min(kQueriesInBlock, queries.n - q), gallery.rows, weights);
            scanner.scan(slice * gallery.n / n_slices, (slice + 1) * gallery.n / n_slices,
                         [&](size_t i, const u32 *distances, size_t n, size_t first) {
                             std::copy(distances, distances + n, out + (q + i) * gallery.n + first);
                         });
        }
    });
}

// The distances of each query to its own `n_listed` rows, (n_queries, n_listed).
inline void distances_at(const Settings &settings, const Codes &queries, const Codes &gallery, const Weights &weights,
                         const i64 *positions, size_t n_listed, u32 *out) {
    parallel(queries.n, settings.n_threads, [&](size_t q) {
        Scanner scanner(settings, queries, q, 1, gallery.rows, weights);
        scanner.gather(0, reinterpret_cast<const u64 *>(positions) + q * n_listed, n_listed, out + q * n_listed);
    });
}

// Reads all bytes, as fast as the scan could: what its speed is held against.
inline u64 read_all(const u8 *data, size_t n_bytes, size_t n_threads) {
    std::atomic<u64> all{0};
    parallel(n_threads, n_threads, [&](size_t slice) {
        u64 sums[8] = {};
        const size_t n_lines = n_bytes / 64;
        for (size_t i = slice * n_lines / n_threads; i < (slice + 1) * n_lines / n_threads; i++)
            for (size_t j = 0; j < 8; j++) sums[j] |= load_word(data + 64 * i + 8 * j, 8);
        for (u64 sum : sums) all |= sum;
    });
    return all;
}

}  // namespace bitreid
