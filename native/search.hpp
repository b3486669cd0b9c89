// Exact top-k, range, two-stage search and counts over rows of packed codes, in (distance, id) order. The bits that a
// `mask` keeps count (null: all).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "nearest.hpp"
#include "scanner.hpp"
#include "threads.hpp"

namespace bitreid {

constexpr size_t kListBytes = 48 << 20;     // about what all short lists of a block of queries take
constexpr size_t kSweepBytes = 512 * 1024;  // of long codes, which a block of queries visits before it goes on

// A bound below which, judged by a sample, lie `w` rows and some more; kFar where guessing would not pay.
inline std::vector<u32> guess_bounds(const Settings &settings, const Codes &queries, size_t first_query,
                                     size_t n_queries, const Codes &gallery, const u8 *mask, size_t w) {
    std::vector<u32> bounds(n_queries, kFar);
    const size_t largest = 8 * gallery.rows.n_bytes, n_bytes = gallery.rows.n_bytes;
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
                    {sample.get(), static_cast<std::ptrdiff_t>(n_bytes), n_bytes}, mask);
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
                                    size_t n_queries, const Codes &gallery, const u8 *mask, size_t w,
                                    bool ties, bool guess = true) {
    const size_t largest = 8 * gallery.rows.n_bytes;
    std::vector<u32> bounds(n_queries, kFar);
    if (guess) bounds = guess_bounds(settings, queries, first_query, n_queries, gallery, mask, w);
    // Slices of rows, a thread each.
    const size_t n_slices = std::clamp<size_t>(gallery.n / 4096, 1, settings.n_threads);
    std::vector<std::vector<Nearest>> of_slices(n_slices);
    parallel(n_slices, settings.n_threads, [&](size_t slice) {
        auto &lists = of_slices[slice];
        for (u32 bound : bounds) lists.emplace_back(w, bound, settings.ids, ties, largest);
        Scanner scanner(settings, queries, first_query, n_queries, gallery.rows, mask);
        scanner.find(slice * gallery.n / n_slices, (slice + 1) * gallery.n / n_slices,
                     [&](size_t q) -> Nearest & { return lists[q]; });
    });
    std::vector<Nearest> lists = std::move(of_slices[0]);
    Settings alone = settings;
    if (n_queries > 1) alone.n_threads = 1;
    parallel(n_queries, n_slices, [&](size_t q) {
        for (size_t slice = 1; slice < n_slices; slice++) lists[q].append(of_slices[slice][q]);
        const bool missed = lists[q].size() < w && bounds[q] != kFar;
        if (missed)
            lists[q] = std::move(nearest(alone, queries, first_query + q, 1, gallery, mask, w, ties, false)[0]);
        else
            lists[q].trim();
    });
    return lists;
}

// The `k` nearest by long code among the rows of `lists`, in (distance, id) order. `sweep`: all queries visit one
// stretch of rows before they go on.
inline std::vector<Nearest> rerank(const Settings &settings, const Codes &queries, size_t first_query,
                                   const Codes &gallery, const u8 *mask, std::vector<Nearest> &lists, size_t k,
                                   bool sweep) {
    constexpr size_t kListed = 1024;
    const size_t n_queries = lists.size(), largest = 8 * gallery.rows.n_bytes;
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
        Scanner scanner(settings, queries, first_query, n_queries, gallery.rows, mask);
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
void search(const Settings &settings, const Codes &queries, const Codes &gallery, const u8 *mask, size_t k,
            Found found) {
    for (size_t q = 0; q < queries.n; q += kQueriesInBlock) {
        const size_t n = std::min(kQueriesInBlock, queries.n - q);
        auto lists = nearest(settings, queries, q, n, gallery, mask, k, false);
        for (size_t i = 0; i < n; i++) {
            lists[i].sort();
            found(q + i, lists[i]);
        }
    }
}

// The same for all rows at a distance below `below`.
template <typename Found>
void range(const Settings &settings, const Codes &queries, const Codes &gallery, const u8 *mask, u32 below,
           Found found) {
    for (size_t q = 0; q < queries.n; q += kQueriesInBlock) {
        const size_t n = std::min(kQueriesInBlock, queries.n - q);
        const size_t n_slices = std::clamp<size_t>(gallery.n / 4096, 1, settings.n_threads);
        std::vector<std::vector<Nearest>> of_slices(n_slices);
        parallel(n_slices, settings.n_threads, [&](size_t slice) {
            for (size_t i = 0; i < n; i++) of_slices[slice].emplace_back(gallery.n, below, settings.ids, true, 0);
            Scanner scanner(settings, queries, q, n, gallery.rows, mask);
            scanner.find(slice * gallery.n / n_slices, (slice + 1) * gallery.n / n_slices,
                         [&](size_t i) -> Nearest & { return of_slices[slice][i]; });
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
               const Codes &queries, const Codes &gallery, const u8 *mask, size_t w, size_t k, bool ties, bool sweep,
               Found found) {
    // With ties a list may grow to the whole gallery.
    const size_t longest = 2 * sizeof(u64) * (ties ? short_gallery.n : w) + 1;
    const size_t in_block = std::clamp<size_t>(kListBytes / longest, 8, kQueriesInBlock);
    for (size_t q = 0; q < queries.n; q += in_block) {
        const size_t n = std::min(in_block, queries.n - q);
        auto lists = nearest(settings, short_queries, q, n, short_gallery, nullptr, w, ties);
        auto best = rerank(settings, queries, q, gallery, mask, lists, k, sweep);
        for (size_t i = 0; i < n; i++) found(q + i, best[i]);
    }
}

// How many allowed rows are nearer than, and at, each query's `n_thresholds` distances, by the prefixes of the codes
// of so many bytes: `thresholds`, `nearer` and `at` are (n_lengths, n_queries, n_thresholds). Fewer than 2^32 rows.
inline void count(const Settings &settings, const Codes &queries, const Codes &gallery, const u8 *mask,
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
                                  mask ? mask + start : nullptr);
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
inline void all_distances(const Settings &settings, const Codes &queries, const Codes &gallery, u32 *out) {
    const size_t n_slices = std::clamp<size_t>(gallery.n / 1024, 1, settings.n_threads);
    parallel(n_slices, settings.n_threads, [&](size_t slice) {
        for (size_t q = 0; q < queries.n; q += kQueriesInBlock) {
            Scanner scanner(settings, queries, q, std::min(kQueriesInBlock, queries.n - q), gallery.rows, nullptr);
            scanner.scan(slice * gallery.n / n_slices, (slice + 1) * gallery.n / n_slices,
                         [&](size_t i, const u32 *distances, size_t n, size_t first) {
                             std::copy(distances, distances + n, out + (q + i) * gallery.n + first);
                         });
        }
    });
}

// The distances of each query to its own `n_listed` rows, (n_queries, n_listed).
inline void distances_at(const Settings &settings, const Codes &queries, const Codes &gallery, const i64 *positions,
                         size_t n_listed, u32 *out) {
    parallel(queries.n, settings.n_threads, [&](size_t q) {
        Scanner scanner(settings, queries, q, 1, gallery.rows, nullptr);
        scanner.gather(0, reinterpret_cast<const u64 *>(positions) + q * n_listed, n_listed, out + q * n_listed);
    });
}

// The asymmetric distances of each query's values, one a bit, to its own `n_listed` rows, (n_queries, n_listed): the sum
// of |value| over the bits that are not 1 where it is above 0 and 0 where it is below.
inline void asymmetric_at(const Settings &settings, const i8 *values, size_t n_queries, Rows rows, const i64 *positions,
                          size_t n_listed, u32 *out) {
    const size_t n_bits = 8 * rows.n_bytes;
    parallel(n_queries, settings.n_threads, [&](size_t q) {
        std::vector<i8> turned((n_bits + kValues - 1) / kValues * kValues);
        i32 most = 0;  // the sum over the ones of a row in which every bit is right
        for (size_t bit = 0; bit < n_bits; bit++) {
            const i8 value = values[q * n_bits + bit];
            turned[bit ^ 7] = value;  // the first bit of a code is the highest of its byte
            most += std::max<i32>(value, 0);
        }
        std::vector<i32> sums(n_listed);
        settings.path->sums(turned.data(), rows, reinterpret_cast<const u64 *>(positions) + q * n_listed, n_listed,
                            sums.data());
        for (size_t i = 0; i < n_listed; i++) out[q * n_listed + i] = static_cast<u32>(most - sums[i]);
    });
}

}  // namespace bitreid
