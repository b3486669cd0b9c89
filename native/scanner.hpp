// A block of queries that shares each pass over the rows.
#pragma once

#include <algorithm>
#include <vector>

#include "memory.hpp"
#include "nearest.hpp"
#include "path.hpp"

namespace bitreid {

constexpr size_t kQueriesInBlock = 64;
constexpr size_t kRowsInScan = 2048;  // of one query: the distances of these rows stay in the first-level cache
constexpr size_t kRowsOfSeveral = kRowsInScan / 4;  // the same for up to kSeveral queries

// Up to how many queries `several` is quicker than tiles, as measured on Zen 5: the shorter codes are, the fewer.
inline size_t most_of_several(size_t n_bytes) { return n_bytes < 128 ? 1 : std::min(n_bytes / 16 - 1, kSeveral); }

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
        const size_t n_words = padded_words(rows.n_bytes), n_lines = (n_words + 7) / 8;
        lines_.resize(n_queries * n_lines);
        for (size_t q = 0; q < n_queries; q++) {
            u64 *words = lines_[q * n_lines].words;
            const u8 *query = queries.rows.at(first_query + q);
            for (size_t i = 0; i < rows.n_bytes; i += 8) {
                const size_t rest = rows.n_bytes - i;
                words[i / 8] = load_word(query + i, rest) & (mask ? load_word(mask + i, rest) : ~u64{0});
            }
            queries_.push_back(words);
        }
        if (n_queries > most_of_several(rows.n_bytes) && settings.path->load) {
            prepared_lines_ = lines_;
            for (size_t q = 0; q < n_queries; q++) {
                prepared_.push_back(prepared_lines_[q * n_lines].words);
                settings.path->prepare(prepared_lines_[q * n_lines].words, n_words);
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
            if (!few && shared_) settings_.path->load(rows_, first, n, mask_, !by_tile_, tile_.get());
            for (size_t q = 0; q < chosen_.size(); q += at_once_) {
                const size_t n_queries = std::min(at_once_, chosen_.size() - q);
                if (!few && by_tile_) prefetch(first + n, std::min(first + 2 * n, last), q);
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

    // (Inlined by force, as `fetch` is.)
    __attribute__((always_inline)) void prefetch(u64 key) const { fetch<2>(rows_.at(key & kRowMask), rows_.n_bytes); }

    // The distances of one query to listed rows.
    void gather(size_t query, const u64 *keys, size_t n, u32 *out) {
        settings_.path->gather(bytes_of(queries_[query]), rows_, keys, n, mask_, out);
    }

private:
    // Queries begin where lines of the cache do: what crosses two of them takes twice as long to load.
    struct alignas(64) Line {
        u64 words[8] = {};
    };

    static const u8 *bytes_of(const u64 *words) { return reinterpret_cast<const u8 *>(words); }

    void share() {
        const size_t n = chosen_.size();
        const bool apart = strided(), short_apart = apart && rows_.n_bytes < 64;
        shared_ = !prepared_.empty() && n > most_of_several(rows_.n_bytes);
        several_ = settings_.path->several && !shared_ && (n > 1 || (apart && !short_apart));
        at_once_ = several_ ? kSeveral : kQueriesAtOnce;
        n_rows_ = several_ ? kRowsOfSeveral : n == 1 ? kRowsInScan : rows_in_tile(rows_.n_bytes);
        // `several` fetches ahead itself, and so does `load` for few queries, which are compared with a tile sooner than
        // the next one comes (how few was measured on Zen 5). For one query, the processor fetches rows that lie side by side.
        by_tile_ = !several_ && (shared_ ? n > std::max<size_t>(12, rows_.n_bytes / 5) || short_apart : n > 1 || apart);
    }

    bool strided() const { return rows_.stride != static_cast<std::ptrdiff_t>(rows_.n_bytes); }

    size_t count_allowed(size_t first, size_t n) const {
        size_t n_allowed = 0;
        for (size_t i = first; i < first + n; i++) n_allowed += settings_.allowed[i] != 0;
        return n_allowed;
    }

    // While a tile is compared, the next one comes closer: its share for the queries from `q` on. (Inlined by force,
    // as `fetch` is.)
    __attribute__((always_inline)) void prefetch(size_t first, size_t last, size_t q) const {
        const size_t n = last > first ? last - first : 0;
        const size_t stop = first + n * std::min(q + at_once_, chosen_.size()) / chosen_.size();
        const size_t start = first + n * q / chosen_.size();
        if (!strided()) fetch<2>(rows_.at(start), (stop - start) * rows_.n_bytes);
        for (size_t row = start; strided() && row < stop; row++) fetch<2>(rows_.at(row), rows_.n_bytes);
    }

    // The distances of a few queries to a tile's rows.
    void compare(size_t q, size_t n_queries, size_t first, size_t n, bool masked, const u8 *next) {
        if (shared_)
            settings_.path->block(chosen_prepared_.data() + q, n_queries, tile_.get(), n, padded_words(rows_.n_bytes),
                                  distances_.get(), n_rows_);
        else if (several_)
            settings_.path->several(chosen_.data() + q, n_queries, rows_, first, n, mask_, distances_.get(), n_rows_);
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
    size_t n_rows_ = 0, at_once_ = 0;
    const u8 *mask_, *next_ = nullptr;
    std::vector<Line> lines_, prepared_lines_;
    std::vector<const u64 *> queries_, prepared_, chosen_, chosen_prepared_;
    bool shared_ = false;   // the chosen queries share tiles
    bool several_ = false;  // or each row is loaded once for them
    bool by_tile_ = false;  // a tile's rows are fetched while the one before is compared
    Buffer<u32> distances_;
    Buffer<u64> tile_;
    std::vector<u64> few_;
    std::vector<u32> few_distances_;
};

}  // namespace bitreid
