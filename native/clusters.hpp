// Clusters: rows sorted into lists, one a centre, so that a search compares the rows of the nearest lists only.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "nearest.hpp"
#include "scanner.hpp"
#include "search.hpp"
#include "threads.hpp"

namespace bitreid {

constexpr size_t kAssignedAtOnce = 256;    // rows that share each pass over the centres
constexpr size_t kQueriesInLists = 1024;   // queries whose visits of lists are sorted together
constexpr size_t kFirstOfList = 4 * 1024;  // bytes of a list that are fetched while the one before is compared

// Rows sorted by list: list i has the centre i and rows `offsets[i] .. offsets[i + 1]`.
struct Clusters {
    Codes rows, centres;
    const i64 *offsets;
    size_t first(size_t list) const { return static_cast<size_t>(offsets[list]); }
    size_t last(size_t list) const { return static_cast<size_t>(offsets[list + 1]); }
};

// The nearest centre of each row (of several, the first one), and its distance.
inline void assign(const Settings &settings, const Codes &rows, const Codes &centres, i64 *lists, u32 *distances) {
    parallel((rows.n + kAssignedAtOnce - 1) / kAssignedAtOnce, settings.n_threads, [&](size_t block) {
        const size_t start = block * kAssignedAtOnce, n_rows = std::min(kAssignedAtOnce, rows.n - start);
        Scanner scanner(settings, rows, start, n_rows, centres.rows, nullptr);
        std::vector<u64> best(n_rows, ~u64{0});
        Buffer<u64> keys;
        scanner.scan(0, centres.n, [&](size_t i, const u32 *found, size_t n, size_t first) {
            keys.grow(n + 16);
            const u32 below = static_cast<u32>(best[i] >> kRowBits);
            const size_t n_nearer = settings.path->select(found, n, below, first, keys.get());
            for (size_t j = 0; j < n_nearer; j++) best[i] = std::min(best[i], keys[j]);
        });
        for (size_t i = 0; i < n_rows; i++) {
            lists[start + i] = static_cast<i64>(best[i] & kRowMask);
            distances[start + i] = static_cast<u32>(best[i] >> kRowBits);
        }
    });
}

// For each list the code `(n_bytes)` whose bits are those of more than half of its members, the rows
// `order[offsets[i] .. offsets[i + 1]]`; zeros where it has none. Bits are counted side by side: word w of plane p holds
// digit p of the counts of 64 bits.
inline void majorities(const Codes &rows, const i64 *order, const i64 *offsets, size_t n_lists, size_t n_threads,
                       u8 *out) {
    const size_t n_bytes = rows.rows.n_bytes, n_words = padded_words(n_bytes);
    parallel(n_lists, n_threads, [&](size_t list) {
        const size_t n = static_cast<size_t>(offsets[list + 1] - offsets[list]);
        size_t n_planes = 0;
        while (n >> n_planes) n_planes++;
        std::vector<u64> planes(n_planes * n_words), carry(n_words);
        for (size_t i = 0; i < n; i++) {
            const u8 *row = rows.rows.at(static_cast<size_t>(order[static_cast<size_t>(offsets[list]) + i]));
            for (size_t w = 0; w < n_words; w++) carry[w] = load_word(row + 8 * w, n_bytes - 8 * w);
            // The sum so far has no more digits than the number of rows so far.
            for (size_t p = 0; (i + 1) >> p; p++) {
                u64 *plane = planes.data() + p * n_words;
                for (size_t w = 0; w < n_words; w++) {
                    const u64 next = plane[w] & carry[w];
                    plane[w] ^= carry[w];
                    carry[w] = next;
                }
            }
        }
        for (size_t w = 0; w < n_words; w++) {
            u64 above = 0, equal = ~u64{0};  // the counts that are, as far as digits were seen, above and at half
            for (size_t p = n_planes; p-- > 0;) {
                const u64 digit = planes[p * n_words + w];
                if (n / 2 >> p & 1) {
                    equal &= digit;
                } else {
                    above |= equal & digit;
                    equal &= ~digit;
                }
            }
            std::memcpy(out + list * n_bytes + 8 * w, &above, std::min<size_t>(8, n_bytes - 8 * w));
        }
    });
}

// A query visits a list.
struct Visit {
    u32 list, query;
};

// Which lists the queries of a block visit, and how many rows each query may find there.
struct Visits {
    std::vector<Visit> visits;  // those of one list stand together, except that each query's nearest list comes first
    std::vector<i64> n_rows;
};

// Each query visits its `n_visited` nearest lists and, if fewer than `wanted` rows may be found there, the next ones.
inline Visits visits_of(const Settings &settings, const Codes &queries, size_t first_query, size_t n_queries,
                        const Clusters &clusters, const u8 *mask, size_t n_visited, size_t wanted) {
    const Settings all{settings.path, settings.n_threads};
    std::vector<i64> n_allowed(settings.allowed ? clusters.centres.n : 0, -1);
    auto rows_in = [&](size_t list) {
        const size_t first = clusters.first(list), last = clusters.last(list);
        if (!settings.allowed) return static_cast<i64>(last - first);
        if (n_allowed[list] < 0)
            n_allowed[list] = std::count_if(settings.allowed + first, settings.allowed + last, [](u8 a) { return a; });
        return n_allowed[list];
    };
    Visits found;
    auto take = [&](Nearest &centres, bool until_wanted) {
        i64 n_rows = 0;
        size_t n = 0;
        for (u64 key : centres) {
            if (until_wanted && n >= n_visited && n_rows >= static_cast<i64>(wanted)) break;
            const size_t list = key & kRowMask;
            n_rows += rows_in(list);
            n++;
        }
        return std::pair(n, n_rows);
    };
    auto nearest_lists = nearest(all, queries, first_query, n_queries, clusters.centres, mask, n_visited, false, false);
    std::vector<Visit> others;
    for (size_t q = 0; q < n_queries; q++) {
        Nearest &centres = nearest_lists[q];
        centres.sort();
        auto [n, n_rows] = take(centres, false);
        if (n_rows < static_cast<i64>(wanted) && n < clusters.centres.n) {
            centres = std::move(
                nearest(all, queries, first_query + q, 1, clusters.centres, mask, clusters.centres.n, false, false)[0]);
            centres.sort();
            std::tie(n, n_rows) = take(centres, true);
        }
        for (size_t i = 0; i < n; i++) {
            const size_t list = centres.begin()[i] & kRowMask;
            if (rows_in(list)) (i ? others : found.visits).push_back({static_cast<u32>(list), static_cast<u32>(q)});
        }
        found.n_rows.push_back(n_rows);
    }
    // The lists of a single query are visited in the order of their distances: its bound falls soonest.
    if (n_queries > 1)
        for (auto *some : {&found.visits, &others})
            std::sort(some->begin(), some->end(), [](const Visit &a, const Visit &b) {
                return a.list != b.list ? a.list < b.list : a.query < b.query;
            });
    found.visits.insert(found.visits.end(), others.begin(), others.end());
    return found;
}

// Per query of a block, the rows of its lists that are nearer than `below`, the nearest `w` of them, in order.
inline std::vector<Nearest> visit(const Settings &settings, const Codes &queries, size_t first_query, size_t n_queries,
                                  const Clusters &clusters, const u8 *mask, const std::vector<Visit> &visits, size_t w,
                                  u32 below) {
    const size_t n_slices = std::clamp<size_t>(visits.size() / 8, 1, settings.n_threads);
    std::vector<std::vector<Nearest>> of_slices(n_slices);
    parallel(n_slices, settings.n_threads, [&](size_t slice) {
        auto &lists = of_slices[slice];
        for (size_t q = 0; q < n_queries; q++)
            lists.emplace_back(w, below, settings.ids, false, 8 * clusters.rows.rows.n_bytes, false);
        Scanner scanner(settings, queries, first_query, n_queries, clusters.rows.rows, mask);
        const size_t n_fetched = kFirstOfList / clusters.rows.rows.n_bytes + 1;
        std::vector<u32> together;
        const size_t stop = (slice + 1) * visits.size() / n_slices;
        for (size_t i = slice * visits.size() / n_slices; i < stop;) {
            const size_t list = visits[i].list;
            together.clear();
            for (; i < stop && visits[i].list == list; i++) together.push_back(visits[i].query);
            if (i < stop) {
                const size_t next = visits[i].list, first = clusters.first(next);
                scanner.go_on_at(first);
                for (size_t row = first; together.size() > 1 && row < std::min(first + n_fetched, clusters.last(next)); row++)
                    scanner.prefetch(row);
            }
            scanner.choose(together.data(), together.size());
            scanner.find(clusters.first(list), clusters.last(list),
                         [&](size_t place) -> Nearest & { return lists[together[place]]; });
        }
    });
    std::vector<Nearest> lists = std::move(of_slices[0]);
    parallel(n_queries, n_slices, [&](size_t q) {
        for (size_t slice = 1; slice < n_slices; slice++) lists[q].append(of_slices[slice][q]);
        lists[q].trim();
        lists[q].sort();
    });
    return lists;
}

// Calls `found(query, list, n_rows)` with each query's `k` nearest rows among the `n_rows` of its `n_visited` nearest
// lists, and of as many more as hold `k` rows that may be found.
template <typename Found>
void search_lists(const Settings &settings, const Codes &queries, const Clusters &clusters, const u8 *mask,
                  size_t n_visited, size_t k, Found found) {
    const size_t longest = sizeof(u64) * (2 * (n_visited + k) + 512 + kRowsInScan);
    const size_t in_block = std::clamp<size_t>(kListBytes / longest, 8, kQueriesInLists);
    for (size_t q = 0; q < queries.n; q += in_block) {
        const size_t n = std::min(in_block, queries.n - q);
        const Visits visits = visits_of(settings, queries, q, n, clusters, mask, n_visited, k);
        auto lists = visit(settings, queries, q, n, clusters, mask, visits.visits, k, kFar);
        for (size_t i = 0; i < n; i++) found(q + i, lists[i], visits.n_rows[i]);
    }
}

// The same for all rows of these lists at a distance below `below`.
template <typename Found>
void range_lists(const Settings &settings, const Codes &queries, const Clusters &clusters, const u8 *mask,
                 size_t n_visited, u32 below, Found found) {
    for (size_t q = 0; q < queries.n; q += kQueriesInBlock) {
        const size_t n = std::min(kQueriesInBlock, queries.n - q);
        const Visits visits = visits_of(settings, queries, q, n, clusters, mask, n_visited, 0);
        auto lists = visit(settings, queries, q, n, clusters, mask, visits.visits, clusters.rows.n, below);
        for (size_t i = 0; i < n; i++) found(q + i, lists[i], visits.n_rows[i]);
    }
}

}  // namespace bitreid
