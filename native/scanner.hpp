// A block of queries that shares each pass over the rows.
#pragma once

#include <algorithm>
#include <vector>

#include "memory.hpp"
#include "nearest.hpp"
#include "path.hpp"

namespace bitreid {

constexpr size_t kQueriesInBlock = 64;
constexpr size_t kShared = 6;         // from this many queries on, they share tiles
constexpr size_t kRowsInScan = 2048;  // of one query: the distances of these rows stay in the first-level cache

struct Codes {
    Rows rows;
    size_t n;
};

struct Settings {
    const Path *path;
    size_t n_threads = 1;
    const u8 *allowed = nullptr;  // a byte a row, 0: may not be found; null: all may
    const i64 *ids = nullptr;     // null: the row is the id
};

// A block of queries against rows, a tile at a time, by the bits that `mask` keeps (null: all). One a thread. All queries
// are compared, or those that `choose` names.
class Scanner {
public:
    Scanner(const Settings &settings, const Codes &queries, size_t first_query, size_t n_queries, Rows rows,
            const u8 *mask)
        : settings_(settings), rows_(rows), mask_(mask) {
        const size_t n_words = padded_words(rows.n_bytes);
        words_.resize(n_queries * n_words);
        for (size_t q = 0; q < n_queries; q++) {
            u64 *words = words_.data() + q * n_words;
            const u8 *query = queries.rows.at(first_query + q);
            for (size_t i = 0; i < rows.n_bytes; i += 8) {
                const size_t rest = rows.n_bytes - i;
                words[i / 8] = load_word(query + i, rest) & (mask ? load_word(mask + i, rest) : ~u64{0});
            }
            queries_.push_back(words);
        }
        if (n_queries >= kShared && settings.path->load) {
            prepared_words_ = words_;
            for (size_t q = 0; q < n_queries; q++) {
                prepared_.push_back(prepared_words_.data() + q * n_words);
                settings.path->prepare(prepared_words_.data() + q * n_words, n_words);
            }
        }
        const size_t n_rows = rows_in_tile(rows.n_bytes);
        distances_.grow(kQueriesAtOnce * std::max(n_rows, kRowsInScan));
        if (!prepared_.empty()) tile_.grow(n_rows * n_words);
        chosen_ = queries_;
        chosen_prepared_ = prepared_;
        share();
    }

    // From now on the queries of these numbers are compared; each call of `found` names one by its place among them.
    void choose(const u32 *numbers, size_t n) {
        chosen_.clear();
        chosen_prepared_.clear();
        for (size_t i = 0; i < n; i++) chosen_.push_back(queries_[numbers[i]]);
        for (size_t i = 0; i < n && !prepared_.empty(); i++) chosen_prepared_.push_back(prepared_[numbers[i]]);
        share();
    }

    // What the next call will read, where that is not what follows in memory.
    void go_on_at(size_t row) { next_ = rows_.at(row); }

    // Calls `found(query, distances, n, first)` for tiles of rows `first .. last`, in order.
    template <typename Found>
    void scan(size_t first, size_t last, Found found) {
        for (; first < last; first += n_rows_) {
            const size_t n = std::min(n_rows_, last - first);
            const size_t n_allowed = settings_.allowed ? count_allowed(first, n) : n;
            const bool few = 4 * n_allowed < n;
            if (!n_allowed) continue;
            if (!few && shared_) settings_.path->load(rows_, first, n, mask_, tile_.get());
            for (size_t q = 0; q < chosen_.size(); q += kQueriesAtOnce) {
                const size_t n_queries = std::min(kQueriesAtOnce, chosen_.size() - q);
                // For one query, the processor itself fetches rows that lie side by side.
                if (!few && (chosen_.size() > 1 || strided())) prefetch(first + n, std::min(first + 2 * n, last), q);
                if (few)
                    visit(q, n_queries, first, n);
                else
                    compare(q, n_queries, first, n, n_allowed < n, first + n == last ? next_ : nullptr);
                for (size_t i = 0; i < n_queries; i++) found(q + i, distances_.get() + i * n_rows_, n, first);
            }
        }
    }

    // Adds the rows of `first .. last` that are nearer than its bound to the list of each query, `list_of(query)`.
    template <typename ListOf>
    void find(size_t first, size_t last, ListOf list_of) {
        const bool words = (rows_.n_bytes == 8 || rows_.n_bytes == 4) && !strided();
        if (!settings_.path->find || !words) {
            scan(first, last, [&](size_t q, const u32 *distances, size_t n, size_t row) {
                list_of(q).add(*settings_.path, distances, n, row);
            });
            return;
        }
        for (; first < last; first += kRowsInScan) {
            const size_t n = std::min(kRowsInScan, last - first);
            if (settings_.allowed && !count_allowed(first, n)) continue;
            for (size_t q = 0; q < chosen_.size(); q++)
                list_of(q).find(*settings_.path, bytes_of(chosen_[q]), rows_, first, n, settings_.allowed, mask_);
        }
    }

    // (Inlined by force: GCC takes calls of a function that does nothing but prefetch for needless.)
    __attribute__((always_inline)) void prefetch(u64 key) const {
        const u8 *row = rows_.at(key & kRowMask);
        for (size_t i = 0; i < rows_.n_bytes; i += 64) __builtin_prefetch(row + i, 0, 2);
    }

    // The distances of one query to listed rows.
    void gather(size_t query, const u64 *keys, size_t n, u32 *out) {
        settings_.path->gather(bytes_of(queries_[query]), rows_, keys, n, mask_, out);
    }

private:
    static const u8 *bytes_of(const u64 *words) { return reinterpret_cast<const u8 *>(words); }

    void share() {
        shared_ = chosen_.size() >= kShared && !prepared_.empty();
        n_rows_ = chosen_.size() == 1 ? kRowsInScan : rows_in_tile(rows_.n_bytes);
    }

    bool strided() const { return rows_.stride != static_cast<std::ptrdiff_t>(rows_.n_bytes); }

    size_t count_allowed(size_t first, size_t n) const {
        size_t n_allowed = 0;
        for (size_t i = first; i < first + n; i++) n_allowed += settings_.allowed[i] != 0;
        return n_allowed;
    }

    // While a tile is compared, the next one comes closer: its share for the queries from `q` on. (Inlined by force: GCC
    // takes calls of a function that does nothing but prefetch for needless.)
    __attribute__((always_inline)) void prefetch(size_t first, size_t last, size_t q) const {
        const size_t n = last > first ? last - first : 0;
        const size_t stop = first + n * std::min(q + kQueriesAtOnce, chosen_.size()) / chosen_.size();
        for (size_t row = first + n * q / chosen_.size(); row < stop; row++)
            for (size_t i = 0; i < rows_.n_bytes; i += 64) __builtin_prefetch(rows_.at(row) + i, 0, 2);
    }

    // The distances of a few queries to a tile's rows.
    void compare(size_t q, size_t n_queries, size_t first, size_t n, bool masked, const u8 *next) {
        if (shared_)
            settings_.path->block(chosen_prepared_.data() + q, n_queries, tile_.get(), n, padded_words(rows_.n_bytes),
                                  distances_.get(), n_rows_);
        else
            for (size_t i = 0; i < n_queries; i++)
                settings_.path->scan(bytes_of(chosen_[q + i]), rows_, first, n, mask_, distances_.get() + i * n_rows_,
                                      next);
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
            settings_.path->gather(bytes_of(chosen_[q + i]), rows_, few_.data(), few_.size(), mask_,
                                   few_distances_.data());
            std::fill(distances, distances + n, kFar);
            for (size_t j = 0; j < few_.size(); j++) distances[few_[j] - first] = few_distances_[j];
        }
    }

    Settings settings_;
    Rows rows_;
    size_t n_rows_ = 0;
    const u8 *mask_, *next_ = nullptr;
    std::vector<u64> words_, prepared_words_;
    std::vector<const u64 *> queries_, prepared_, chosen_, chosen_prepared_;
    bool shared_ = false;  // the chosen queries share tiles
    Buffer<u32> distances_;
    Buffer<u64> tile_;
    std::vector<u64> few_;
    std::vector<u32> few_distances_;
};

}  // namespace bitreid
