// Random searches of every path that runs here, held against loops over bits; the first difference aborts.
//
// With clang, a target of libFuzzer (-DBITREID_LIBFUZZER -fsanitize=fuzzer). Else a program, `fuzz [seconds] [seed]`,
// whose inputs are random: it prints the paths that it compared, and where it stops the seed to start from to see it at
// once. Codes end where their memory ends, so that AddressSanitizer sees what is read beyond them.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <limits>
#include <numeric>
#include <random>

#include "clusters.hpp"
#include "paths.hpp"
#include "search.hpp"

using namespace bitreid;

namespace {

// libFuzzer has nothing to learn from the branches of these, which take most of the time.
#ifdef __clang__
#define BITREID_UNWATCHED __attribute__((no_sanitize("coverage")))
#else
#define BITREID_UNWATCHED
#endif

using Keys = std::vector<std::pair<u32, i64>>;  // distances and rows, in order
using Lists = std::vector<Keys>;                // of each query

// Makes choices from the input's bytes, and from random numbers that they seed when there are no more.
class Source {
public:
    explicit Source(u64 seed) : state_(seed) {}
    Source(const u8 *bytes, size_t n) : bytes_(bytes), left_(n) {
        for (size_t i = 0; i < n; i++) state_ = (state_ ^ bytes[i]) * 0x100000001b3;
    }

    // From `low` to `high`, both included.
    size_t number(size_t low, size_t high) {
        u64 drawn = left_ ? 0 : word();
        for (u64 range = high - low; range && left_; range >>= 8, left_--) drawn = drawn << 8 | *bytes_++;
        return low + static_cast<size_t>(drawn % (high - low + 1));
    }
    bool one_in(size_t n) { return number(1, n) == n; }
    // SplitMix64.
    BITREID_UNWATCHED u64 word() {
        u64 mixed = state_ += 0x9e3779b97f4a7c15;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
        return mixed ^ mixed >> 31;
    }

private:
    const u8 *bytes_ = nullptr;
    size_t left_ = 0;
    u64 state_ = 0;
};

// Memory that ends with its last byte, so that nothing can be read beyond it unseen.
template <typename T>
struct Exact {
    std::unique_ptr<T[]> data;
    size_t n = 0;
    explicit Exact(size_t size) : data(new T[size]), n(size) {}
    Exact() = default;
    T *get() const { return data.get(); }
};

// Rows in their own memory: at any address, any number of bytes apart, also backwards or all at one place.
struct Table {
    Exact<u8> memory;
    Codes codes;

    BITREID_UNWATCHED Table(Source &source, size_t n, size_t n_bytes) {
        const size_t front = source.number(0, 9), gap = source.one_in(2) ? source.number(0, 40) : 0;
        const bool same = source.one_in(40), backwards = source.one_in(8);
        const size_t apart = same ? 0 : n_bytes + gap, last = n ? (n - 1) * apart : 0;
        memory = Exact<u8>(front + (n ? last + n_bytes : 0));
        const size_t scarcity = source.number(0, 4);  // of ones: distances tie
        for (size_t i = 0; i < memory.n; i++) {
            u64 bits = scarcity < 4 ? source.word() : 0;
            for (size_t j = 0; j < scarcity; j++) bits &= bits >> 8;
            memory.get()[i] = static_cast<u8>(bits);
        }
        const u8 flip = source.one_in(4) ? 255 : 0;
        for (size_t i = 0; i < memory.n; i++) memory.get()[i] ^= flip;
        // Some rows all zeros: where just those are sampled, a bound that is guessed misses the others.
        const size_t period = source.one_in(2) ? size_t{1} << source.number(3, 5) : 0;
        for (size_t row = 0; period && row < n; row += period)
            std::fill_n(memory.get() + front + row * apart, n_bytes, u8{0});
        const auto stride = static_cast<std::ptrdiff_t>(apart) * (backwards ? -1 : 1);
        codes = {{memory.get() + front + (backwards ? last : 0), stride, n_bytes}, n};
    }
};

// Which bits count; no memory: all.
struct Bits {
    Exact<u8> mask;

    Bits(Source &source, size_t n_bytes) {
        if (source.one_in(2)) return;
        const u64 all = source.number(0, 255);
        mask = Exact<u8>(n_bytes);
        for (size_t i = 0; i < n_bytes; i++)
            mask.get()[i] = static_cast<u8>(source.word() & (source.one_in(2) ? all : 255));
    }
};

// The same by loops.

BITREID_UNWATCHED bool bit_of(const u8 *bytes, size_t bit) { return (bytes[bit / 8] >> (bit % 8)) % 2 == 1; }

// (n_queries, n_gallery) of the codes' first `n_bytes`.
BITREID_UNWATCHED std::vector<u32> loop_distances(const Codes &queries, const Codes &gallery, const u8 *mask,
                                                  size_t n_bytes) {
    std::vector<u32> distances;
    for (size_t q = 0; q < queries.n; q++)
        for (size_t row = 0; row < gallery.n; row++) {
            u32 distance = 0;
            for (size_t bit = 0; bit < 8 * n_bytes; bit++)
                if (!mask || bit_of(mask, bit))
                    distance += bit_of(queries.rows.at(q), bit) != bit_of(gallery.rows.at(row), bit);
            distances.push_back(distance);
        }
    return distances;
}

// Rows with their distances, all in order.
Keys loop_ranking(const u32 *distances, const std::vector<i64> &rows, const i64 *ids) {
    Keys keys;
    for (i64 row : rows) keys.emplace_back(distances[row], row);
    std::sort(keys.begin(), keys.end(), [ids](const auto &a, const auto &b) {
        if (a.first != b.first) return a.first < b.first;
        if (ids && ids[a.second] != ids[b.second]) return ids[a.second] < ids[b.second];
        return a.second < b.second;
    });
    return keys;
}

// A case and its checks.

struct Case {
    Source source;
    bool large;
    size_t n, n_queries, n_bytes, n_short_bytes;
    Table queries, gallery, short_queries, short_gallery;
    Bits bits, short_bits;
    Exact<u8> allowed;
    Exact<i64> ids;
    std::vector<i64> rows;  // that may be found
    Settings settings{};
    const char *doing = "";

    explicit Case(Source drawn)
        : source(std::move(drawn)), large(source.one_in(30)), n(draw_rows()), n_queries(draw_queries()),
          n_bytes(draw_bytes()), n_short_bytes(bounded(source.one_in(3) ? 8 : source.number(1, 20))),
          queries(source, n_queries, n_bytes), gallery(source, n, n_bytes),
          short_queries(source, n_queries, n_short_bytes), short_gallery(source, n, n_short_bytes),
          bits(source, n_bytes), short_bits(source, n_short_bytes) {
        draw_allowed();
        draw_ids();
        settings = {nullptr, source.number(1, 4), allowed.get(), ids.get()};
    }

    void check() {
        const auto distances = loop_distances(queries.codes, gallery.codes, bits.mask.get(), n_bytes);
        const auto short_distances = loop_distances(short_queries.codes, short_gallery.codes, nullptr, n_short_bytes);
        check_search(short_queries.codes, short_gallery.codes, short_bits.mask.get(),
                     loop_distances(short_queries.codes, short_gallery.codes, short_bits.mask.get(), n_short_bytes));
        check_search(queries.codes, gallery.codes, bits.mask.get(), distances);
        check_range(distances);
        check_two_stage(short_distances, distances);
        check_lists(distances);
        check_majorities();
        check_count();
        check_distances(loop_distances(queries.codes, gallery.codes, nullptr, n_bytes));
        check_asymmetric();
    }

private:
    size_t draw_rows() {
        if (large) return source.number(1000, 9000);
        if (source.one_in(6)) return source.one_in(4) ? source.number(16'000, 20'000) : 16'384;  // bounds are guessed
        if (source.one_in(6)) return source.number(1000, 9000);  // several tiles, several slices
        return source.number(0, 70);
    }
    // Few enough queries and bytes that the loops take no longer than a moment.
    size_t draw_queries() {
        return source.number(0, large ? 2 : std::min<size_t>(source.one_in(4) ? 80 : 9, 60'000 / (n + 1)));
    }
    size_t bounded(size_t bytes) const {
        return std::clamp<size_t>(bytes, 1, std::max<size_t>(150'000 / (n * n_queries + 1), 1));
    }
    size_t draw_bytes() {
        if (large) return source.number(1, 3) * kSweepBytes / n + source.number(1, 50);  // visited in several stretches
        if (source.one_in(8)) return bounded(source.number(900, 2200));  // more than a byte of counts holds
        return bounded(source.one_in(2) ? source.number(1, 9) * (source.one_in(2) ? 8 : 64) : source.number(1, 300));
    }

    size_t draw_wanted(size_t most) {
        if (most >= 8192 && source.one_in(2)) return source.number(512, 4096);
        return source.number(0, large || source.one_in(4) ? most : std::min<size_t>(most, 20));
    }

    void draw_allowed() {
        const bool masked = source.one_in(2);
        const size_t one_of = source.one_in(4) ? 0 : source.number(1, 40);
        if (masked) allowed = Exact<u8>(n);
        for (size_t i = 0; i < n; i++) {
            if (masked) allowed.get()[i] = one_of && source.one_in(one_of) ? static_cast<u8>(source.word() | 1) : 0;
            if (!masked || allowed.get()[i]) rows.push_back(static_cast<i64>(i));
        }
        if (masked && !n) allowed = Exact<u8>();
    }
    void draw_ids() {
        if (source.one_in(2) || !n) return;
        ids = Exact<i64>(n);
        const bool any = source.one_in(2);
        const u64 range = source.number(1, 2 * n);
        for (size_t i = 0; i < n; i++)
            ids.get()[i] = any ? static_cast<i64>(source.word()) : static_cast<i64>(source.word() % range) - 5;
        if (source.one_in(4)) ids.get()[n - 1] = std::numeric_limits<i64>::min();
    }

    // Calls `run(settings)` for each path, and for one and several threads.
    template <typename Run>
    void on_every_path(const char *what, Run run) {
        doing = what;
        for (const Path &path : kPaths) {
            if (!path.runs_here()) continue;
            settings.path = &path;
            run(settings);
        }
    }
    void expect(bool same, size_t query, size_t place) const {
        if (same) return;
        std::fprintf(stderr,
                     "fuzz: expected what loops over bits find, got another result: %s, path %s, query %zu, place %zu "
                     "(%zu rows, %zu queries, %zu bytes, %zu short bytes, masks %d and %d, %zu allowed, ids %d, "
                     "%zu threads)\n",
                     doing, settings.path->name, query, place, n, n_queries, n_bytes, n_short_bytes, bits.mask.n > 0,
                     short_bits.mask.n > 0, rows.size(), settings.ids != nullptr, settings.n_threads);
        std::abort();
    }
    void expect_list(const Keys &keys, Nearest &list, size_t query) const {
        expect(list.size() == keys.size(), query, list.size());
        const u64 *found = list.begin();
        for (size_t i = 0; i < keys.size(); i++)
            expect(found[i] == (u64{keys[i].first} << kRowBits | static_cast<u64>(keys[i].second)), query, i);
    }
    // Runs an operation that calls back with each query's list, on every path.
    template <typename Run>
    void expect_lists(const char *what, const Lists &lists, Run run) {
        on_every_path(what, [&](const Settings &with) {
            size_t next = 0;
            run(with, [&](size_t q, Nearest &list) {
                expect(q == next++, q, 0);
                expect_list(lists[q], list, q);
            });
            expect(next == n_queries, next, 0);
        });
    }

    void check_search(const Codes &of_queries, const Codes &of_rows, const u8 *mask,
                      const std::vector<u32> &distances) {
        const size_t k = draw_wanted(rows.size());
        Lists lists;
        for (size_t q = 0; q < n_queries; q++) {
            lists.push_back(loop_ranking(distances.data() + q * n, rows, settings.ids));
            lists.back().resize(k);
        }
        expect_lists("search", lists, [&](const Settings &with, auto found) {
            search(with, of_queries, of_rows, mask, k, found);
        });
    }

    void check_range(const std::vector<u32> &distances) {
        u32 below = static_cast<u32>(source.number(0, 8 * n_bytes + 2));
        if (!distances.empty() && source.one_in(2)) below = distances[source.number(0, distances.size() - 1)] + 1;
        if (source.one_in(10)) below = kFar;
        Lists lists;
        for (size_t q = 0; q < n_queries; q++) {
            Keys all = loop_ranking(distances.data() + q * n, rows, settings.ids), near;
            for (const auto &key : all)
                if (key.first < below) near.push_back(key);
            lists.push_back(near);
        }
        expect_lists("range", lists, [&](const Settings &with, auto found) {
            range(with, queries.codes, gallery.codes, bits.mask.get(), below, found);
        });
    }

    void check_two_stage(const std::vector<u32> &short_distances, const std::vector<u32> &distances) {
        const size_t w = draw_wanted(n);
        const size_t k = source.number(0, std::min(w, rows.size()));
        const bool ties = source.one_in(2), sweep = source.one_in(2);
        Lists lists;
        for (size_t q = 0; q < n_queries; q++) {
            const Keys nearest = loop_ranking(short_distances.data() + q * n, rows, settings.ids);
            std::vector<i64> kept;
            for (size_t i = 0; i < nearest.size(); i++)
                if (i < w || (ties && w && nearest[i].first == nearest[w - 1].first)) kept.push_back(nearest[i].second);
            lists.push_back(loop_ranking(distances.data() + q * n, kept, settings.ids));
            lists.back().resize(k);
        }
        expect_lists("two_stage", lists, [&](const Settings &with, auto found) {
            two_stage(with, short_queries.codes, short_gallery.codes, queries.codes, gallery.codes, bits.mask.get(), w,
                      k, ties, sweep, found);
        });
    }

    // Where lists of all rows begin and end: anywhere, some of them without rows.
    Exact<i64> draw_offsets(size_t n_lists) {
        Exact<i64> offsets(n_lists + 1);
        for (size_t i = 0; i < n_lists; i++) offsets.get()[i] = static_cast<i64>(source.number(0, n));
        offsets.get()[n_lists] = n_lists ? static_cast<i64>(n) : 0;
        std::sort(offsets.get(), offsets.get() + n_lists);
        offsets.get()[0] = 0;
        return offsets;
    }

    void check_lists(const std::vector<u32> &distances) {
        const size_t n_lists = source.number(n > 0, source.one_in(4) ? std::min<size_t>(n, 200) + 1 : 9);
        const Table centres(source, n_lists, n_bytes);
        const Exact<i64> offsets = draw_offsets(n_lists);
        const Clusters clusters{gallery.codes, centres.codes, offsets.get()};
        const size_t n_visited = source.number(0, n_lists), k = draw_wanted(rows.size());
        const u32 below = static_cast<u32>(source.number(0, 8 * n_bytes + 2));
        std::vector<i64> numbers(n_lists);
        std::iota(numbers.begin(), numbers.end(), 0);
        const auto to_centres = loop_distances(queries.codes, centres.codes, bits.mask.get(), n_bytes);
        auto listed = [&](size_t q, size_t wanted) {
            std::vector<i64> found;
            size_t n_listed = 0;
            for (const auto &key : loop_ranking(to_centres.data() + q * n_lists, numbers, nullptr)) {
                if (n_listed++ >= n_visited && found.size() >= wanted) break;
                for (i64 row = offsets.get()[key.second]; row < offsets.get()[key.second + 1]; row++)
                    if (!allowed.get() || allowed.get()[row]) found.push_back(row);
            }
            return found;
        };
        Lists nearest, near;
        std::vector<i64> n_nearest, n_near;
        for (size_t q = 0; q < n_queries; q++) {
            const auto enough = listed(q, k), found = listed(q, 0);
            n_nearest.push_back(static_cast<i64>(enough.size()));
            nearest.push_back(loop_ranking(distances.data() + q * n, enough, settings.ids));
            nearest.back().resize(k);
            n_near.push_back(static_cast<i64>(found.size()));
            near.emplace_back();
            for (const auto &key : loop_ranking(distances.data() + q * n, found, settings.ids))
                if (key.first < below) near.back().push_back(key);
        }
        expect_lists("search_lists", nearest, [&](const Settings &with, auto found) {
            search_lists(with, queries.codes, clusters, bits.mask.get(), n_visited, k,
                         [&](size_t q, Nearest &list, i64 n_rows) {
                             expect(n_rows == n_nearest[q], q, 0);
                             found(q, list);
                         });
        });
        expect_lists("range_lists", near, [&](const Settings &with, auto found) {
            range_lists(with, queries.codes, clusters, bits.mask.get(), n_visited, below,
                        [&](size_t q, Nearest &list, i64 n_rows) {
                            expect(n_rows == n_near[q], q, 0);
                            found(q, list);
                        });
        });
        if (!n_lists) return;
        const auto of_centres = loop_distances(queries.codes, centres.codes, nullptr, n_bytes);
        Exact<i64> assigned(n_queries);
        Exact<u32> away(n_queries);
        on_every_path("assign", [&](const Settings &with) {
            assign({with.path, with.n_threads}, queries.codes, centres.codes, assigned.get(), away.get());
            for (size_t q = 0; q < n_queries; q++) {
                const u32 *first = of_centres.data() + q * n_lists, *found = std::min_element(first, first + n_lists);
                expect(assigned.get()[q] == found - first && away.get()[q] == *found, q, 0);
            }
        });
    }

    void check_majorities() {
        const size_t n_lists = source.number(n > 0, 9);
        const Exact<i64> offsets = draw_offsets(n_lists);
        Exact<i64> order(n);
        for (size_t i = 0; i < n; i++) order.get()[i] = static_cast<i64>(source.number(0, n - 1));
        Exact<u8> found(n_lists * n_bytes);
        majorities(gallery.codes, order.get(), offsets.get(), n_lists, settings.n_threads, found.get());
        doing = "majorities";
        settings.path = &kPaths[0];
        for (size_t list = 0; list < n_lists; list++)
            for (size_t bit = 0; bit < 8 * n_bytes; bit++) {
                i64 more = 0;
                for (i64 i = offsets.get()[list]; i < offsets.get()[list + 1]; i++)
                    more += bit_of(gallery.codes.rows.at(static_cast<size_t>(order.get()[i])), bit) ? 1 : -1;
                expect(bit_of(found.get() + list * n_bytes, bit) == (more > 0), list, bit);
            }
    }

    void check_count() {
        std::vector<size_t> lengths;
        for (size_t at = 0; at < n_bytes && lengths.size() < 4;) lengths.push_back(at = source.number(at + 1, n_bytes));
        const size_t n_thresholds = source.number(0, 4), n_counts = lengths.size() * n_queries * n_thresholds;
        Exact<i64> thresholds(n_counts), nearer(n_counts), at(n_counts);
        std::vector<i64> all_nearer, all_at;
        for (size_t length = 0, t = 0; length < lengths.size(); length++) {
            const auto distances = loop_distances(queries.codes, gallery.codes, bits.mask.get(), lengths[length]);
            for (; t < (length + 1) * n_queries * n_thresholds; t++) {
                i64 threshold = static_cast<i64>(source.number(0, 8 * n_bytes + 4)) - 2;
                if (source.one_in(20)) threshold = std::numeric_limits<i64>::min();
                if (source.one_in(20)) threshold = std::numeric_limits<i64>::max();
                thresholds.get()[t] = threshold;
                const u32 *of_query = distances.data() + t / n_thresholds % n_queries * n;
                i64 now_nearer = 0, now_at = 0;
                for (i64 row : rows) now_nearer += of_query[row] < threshold, now_at += of_query[row] == threshold;
                all_nearer.push_back(now_nearer);
                all_at.push_back(now_at);
            }
        }
        on_every_path("count", [&](const Settings &with) {
            count(with, queries.codes, gallery.codes, bits.mask.get(), lengths, thresholds.get(), n_thresholds,
                  nearer.get(), at.get());
            for (size_t t = 0; t < n_counts; t++)
                expect(nearer.get()[t] == all_nearer[t] && at.get()[t] == all_at[t], t, 0);
        });
    }

    void check_distances(const std::vector<u32> &distances) {
        Exact<u32> all(n_queries * n);
        settings.allowed = nullptr;
        on_every_path("all_distances", [&](const Settings &with) {
            all_distances(with, queries.codes, gallery.codes, all.get());
            for (size_t i = 0; i < all.n; i++) expect(all.get()[i] == distances[i], i / n, i % n);
        });
        const size_t n_listed = n ? source.number(0, 30) : 0;
        Exact<i64> positions(n_queries * n_listed);
        for (size_t i = 0; i < positions.n; i++) positions.get()[i] = static_cast<i64>(source.number(0, n - 1));
        Exact<u32> listed(positions.n);
        on_every_path("distances_at", [&](const Settings &with) {
            distances_at(with, queries.codes, gallery.codes, positions.get(), n_listed, listed.get());
            for (size_t i = 0; i < listed.n; i++)
                expect(listed.get()[i] == distances[i / n_listed * n + static_cast<size_t>(positions.get()[i])],
                       i / n_listed, i % n_listed);
        });
    }

    void check_asymmetric() {
        const size_t n_bits = 8 * n_bytes, n_listed = n ? source.number(0, 30) : 0;
        const int shift = static_cast<int>(source.number(0, 7));  // of large values sums are largest, of small ones tie
        const bool ones = source.one_in(8);
        Exact<i8> values(n_queries * n_bits);
        for (size_t i = 0; i < values.n; i++)
            values.get()[i] = ones ? i8{-128} : static_cast<i8>(static_cast<i8>(source.word()) >> shift);
        Exact<i64> positions(n_queries * n_listed);
        for (size_t i = 0; i < positions.n; i++) positions.get()[i] = static_cast<i64>(source.number(0, n - 1));
        Exact<u32> found(positions.n);
        on_every_path("asymmetric_at", [&](const Settings &with) {
            asymmetric_at(with, values.get(), n_queries, gallery.codes.rows, positions.get(), n_listed, found.get());
            for (size_t i = 0; i < found.n; i++) {
                const u8 *row = gallery.codes.rows.at(static_cast<size_t>(positions.get()[i]));
                u32 distance = 0;
                for (size_t bit = 0; bit < n_bits; bit++) {
                    const int value = values.get()[i / n_listed * n_bits + bit];
                    const bool one = (row[bit / 8] >> (7 - bit % 8)) % 2 == 1;
                    if (one ? value < 0 : value > 0) distance += static_cast<u32>(std::abs(value));
                }
                expect(found.get()[i] == distance, i / n_listed, i % n_listed);
            }
        });
    }
};

}  // namespace

#ifdef BITREID_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n) {
    Case(Source(bytes, n)).check();
    return 0;
}
#else
static u64 seed;
int main(int n_arguments, char **arguments) {
    const double seconds = n_arguments > 1 ? std::atof(arguments[1]) : 10;
    seed = n_arguments > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device{}();
    std::signal(SIGABRT, [](int) { std::fprintf(stderr, "fuzz: stopped at seed %llu\n", 0ull + seed); });
    std::printf("fuzz: comparing");
    for (const Path &path : kPaths)
        if (path.runs_here()) std::printf(" %s", path.name);
    std::printf(" with loops over bits, seeds from %llu\n", 0ull + seed);
    std::fflush(stdout);
    const auto start = std::chrono::steady_clock::now();
    size_t n_inputs = 0;
    do {
        Case(Source(seed)).check();
        n_inputs++, seed++;
    } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds);
    std::printf("fuzz: %zu inputs, no difference\n", n_inputs);
    return 0;
}
#endif
