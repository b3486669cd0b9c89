// The Python module `bitreid.hamming._native`: arrays in, arrays out, the GIL released. The callers check what is
// asked for and name it in words (bitreid/hamming/inputs.py); here only what would read or write out of bounds is
// refused.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

#include "clusters.hpp"
#include "paths.hpp"
#include "search.hpp"

namespace nb = nanobind;
using namespace bitreid;

namespace {

using Bytes = nb::ndarray<const u8, nb::ndim<2>, nb::device::cpu>;
using Mask = std::optional<nb::ndarray<const u8, nb::ndim<1>, nb::c_contig, nb::device::cpu>>;
using Ids = std::optional<nb::ndarray<const i64, nb::ndim<1>, nb::c_contig, nb::device::cpu>>;
template <typename T, size_t n>
using Array = nb::ndarray<nb::numpy, T, nb::ndim<n>>;

const Path *fastest() {
    for (const Path &path : kPaths)
        if (path.runs_here()) return &path;
    return nullptr;
}

std::atomic<const Path *> chosen{fastest()};

void expect(bool right, const char *what) {
    if (!right) throw std::invalid_argument(what);
}

Codes codes_of(const Bytes &array) {
    const size_t n = array.shape(0), n_bytes = array.shape(1);
    expect(n_bytes > 0 && n_bytes < (size_t{1} << 20), "expected codes of 1 to 1,048,575 bytes");
    expect(n < kRowMask, "expected fewer rows");
    expect(array.stride(1) == 1 || n_bytes == 1 || n == 0, "expected the bytes of a code one after the other");
    return {{array.data(), n > 1 ? array.stride(0) : static_cast<std::ptrdiff_t>(n_bytes), n_bytes}, n};
}

void expect_one_length(const Codes &queries, const Codes &gallery) {
    expect(queries.rows.n_bytes == gallery.rows.n_bytes, "expected query and gallery codes of one length");
}

const u8 *bits_of(const Mask &mask, const Codes &gallery) {
    expect(!mask || mask->shape(0) == gallery.rows.n_bytes, "expected a mask as long as the codes");
    return mask ? mask->data() : nullptr;
}

Settings settings_of(size_t n_threads, const Mask &allowed, const Ids &ids, const Codes &gallery) {
    expect(n_threads >= 1, "expected at least one thread");
    expect(!allowed || allowed->shape(0) == gallery.n, "expected a byte of the row mask for each row");
    expect(!ids || ids->shape(0) == gallery.n, "expected an id for each row");
    return {chosen.load(), n_threads, allowed ? allowed->data() : nullptr, ids ? ids->data() : nullptr};
}

// Releases the GIL for its lifetime. A thread that wants it back after the interpreter has begun to end does not get it:
// Python 3.13 and earlier end the thread by unwinding its stack, which aborts the process at a destructor or at a
// handler of nanobind's. Such a thread, a daemon in a search, waits here instead until the process has ended.
class Released {
public:
    Released() : state_(PyEval_SaveThread()) {}
    Released(const Released &) = delete;
    Released &operator=(const Released &) = delete;
    ~Released() {
#if defined(__GLIBCXX__)
        try {
            PyEval_RestoreThread(state_);
        } catch (const abi::__forced_unwind &) {
            for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
        }
#else
        PyEval_RestoreThread(state_);
#endif
    }

private:
    PyThreadState *state_;
};

// An array that numpy owns, its numbers not set.
template <typename T, size_t n>
std::pair<T *, Array<T, n>> array(const size_t (&shape)[n]) {
    size_t size = 1;
    for (size_t each : shape) {
        expect(!each || size <= std::numeric_limits<std::ptrdiff_t>::max() / sizeof(T) / each, "expected fewer results");
        size *= each;
    }
    T *data = new T[size];
    nb::capsule owner(data, [](void *memory) noexcept { delete[] static_cast<T *>(memory); });
    return {data, Array<T, n>(data, n, shape, owner)};
}

// Writes the keys of a list as positions and distances.
void write(Nearest &list, i64 *positions, std::int32_t *distances) {
    for (u64 key : list) {
        *positions++ = static_cast<i64>(key & kRowMask);
        *distances++ = static_cast<std::int32_t>(key >> kRowBits);
    }
}

nb::tuple search_of(const Bytes &queries, const Bytes &gallery, size_t k, const Mask &mask, const Mask &allowed,
                    const Ids &ids, size_t n_threads) {
    const Codes q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(q, g);
    const u8 *bits = bits_of(mask, g);
    const Settings settings = settings_of(n_threads, allowed, ids, g);
    expect(k <= g.n, "expected k of at most the rows");
    auto [positions, first] = array<i64, 2>({q.n, k});
    auto [distances, second] = array<std::int32_t, 2>({q.n, k});
    {
        Released released;
        search(settings, q, g, bits, k, [&, p = positions, d = distances](size_t i, Nearest &list) {
            expect(list.size() == k, "expected k of at most the rows that may be found");
            write(list, p + i * k, d + i * k);
        });
    }
    return nb::make_tuple(first, second);
}

nb::tuple two_stage_of(const Bytes &short_queries, const Bytes &short_gallery, const Bytes &queries,
                       const Bytes &gallery, const Mask &mask, size_t w, size_t k, bool ties,
                       bool sweep, const Mask &allowed, const Ids &ids, size_t n_threads) {
    const Codes sq = codes_of(short_queries), sg = codes_of(short_gallery), q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(sq, sg);
    expect_one_length(q, g);
    expect(sq.n == q.n && sg.n == g.n, "expected short and long codes of the same rows");
    const u8 *bits = bits_of(mask, g);
    const Settings settings = settings_of(n_threads, allowed, ids, g);
    expect(w <= g.n && k <= w, "expected k of at most w, and w of at most the rows");
    auto [positions, first] = array<i64, 2>({q.n, k});
    auto [distances, second] = array<std::int32_t, 2>({q.n, k});
    {
        Released released;
        two_stage(settings, sq, sg, q, g, bits, w, k, ties, sweep,
                  [&, p = positions, d = distances](size_t i, Nearest &list) {
                      expect(list.size() == k, "expected k of at most the rows that may be found");
                      write(list, p + i * k, d + i * k);
                  });
    }
    return nb::make_tuple(first, second);
}

// The distance that all of at most `max_distance` are below.
u32 bound_of(i64 max_distance) { return static_cast<u32>(std::clamp<i64>(max_distance, -1, kFar - 1) + 1); }

// Offsets, positions and distances of what `search` finds, without the GIL: it passes each query's list to its argument.
template <typename Search>
nb::tuple ranges_of(size_t n_queries, Search search) {
    std::vector<u64> keys;
    auto [offsets, first] = array<i64, 1>({n_queries + 1});
    {
        Released released;
        offsets[0] = 0;
        search([&, o = offsets](size_t i, Nearest &list) {
            keys.insert(keys.end(), list.begin(), list.end());
            o[i + 1] = static_cast<i64>(keys.size());
        });
    }
    auto [positions, second] = array<i64, 1>({keys.size()});
    auto [distances, third] = array<std::int32_t, 1>({keys.size()});
    for (size_t i = 0; i < keys.size(); i++) {
        positions[i] = static_cast<i64>(keys[i] & kRowMask);
        distances[i] = static_cast<std::int32_t>(keys[i] >> kRowBits);
    }
    return nb::make_tuple(first, second, third);
}

nb::tuple range_of(const Bytes &queries, const Bytes &gallery, i64 max_distance, const Mask &mask,
                   const Mask &allowed, const Ids &ids, size_t n_threads) {
    const Codes q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(q, g);
    const u8 *bits = bits_of(mask, g);
    const Settings settings = settings_of(n_threads, allowed, ids, g);
    return ranges_of(q.n, [&](auto take) { range(settings, q, g, bits, bound_of(max_distance), take); });
}

nb::tuple count_of(const Bytes &queries, const Bytes &gallery, const std::vector<size_t> &lengths,
                   const nb::ndarray<const i64, nb::ndim<3>, nb::c_contig, nb::device::cpu> &thresholds,
                   const Mask &mask, const Mask &allowed, size_t n_threads) {
    const Codes q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(q, g);
    const u8 *bits = bits_of(mask, g);
    const Settings settings = settings_of(n_threads, allowed, std::nullopt, g);
    expect(g.n < kFar, "expected fewer rows to count");
    for (size_t i = 0; i < lengths.size(); i++)
        expect(lengths[i] > (i ? lengths[i - 1] : 0) && lengths[i] <= g.rows.n_bytes, "expected ascending lengths");
    expect(!lengths.empty() && thresholds.shape(0) == lengths.size() && thresholds.shape(1) == q.n,
           "expected thresholds of each length and query");
    const size_t n_thresholds = thresholds.shape(2);
    auto [nearer, first] = array<i64, 3>({lengths.size(), q.n, n_thresholds});
    auto [at, second] = array<i64, 3>({lengths.size(), q.n, n_thresholds});
    {
        Released released;
        count(settings, q, g, bits, lengths, thresholds.data(), n_thresholds, nearer, at);
    }
    return nb::make_tuple(first, second);
}

nb::object distances_of(const Bytes &queries, const Bytes &gallery, size_t n_threads) {
    const Codes q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(q, g);
    auto [distances, all] = array<u32, 2>({q.n, g.n});
    {
        Released released;
        all_distances(settings_of(n_threads, {}, {}, g), q, g, distances);
    }
    return nb::cast(all);
}

using Positions = nb::ndarray<const i64, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// How many rows are listed for each of the queries.
size_t checked_positions(const Positions &positions, size_t n_queries, const Codes &gallery) {
    expect(positions.shape(0) == n_queries, "expected positions for each query");
    for (size_t i = 0; i < positions.size(); i++)
        expect(positions.data()[i] >= 0 && static_cast<size_t>(positions.data()[i]) < gallery.n,
               "expected rows as positions");
    return positions.shape(1);
}

nb::object distances_at_of(const Bytes &queries, const Bytes &gallery, const Positions &positions, size_t n_threads) {
    const Codes q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(q, g);
    const size_t n_listed = checked_positions(positions, q.n, g);
    auto [distances, all] = array<u32, 2>({q.n, n_listed});
    {
        Released released;
        distances_at(settings_of(n_threads, {}, {}, g), q, g, positions.data(), n_listed, distances);
    }
    return nb::cast(all);
}

using Numbers = nb::ndarray<const i64, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Where lists of `n` rows in all begin and end, one more than there are lists.
const i64 *checked_offsets(const Numbers &offsets, size_t n) {
    expect(offsets.size() > 0 && offsets.data()[0] == 0, "expected offsets from 0");
    for (size_t i = 1; i < offsets.size(); i++)
        expect(offsets.data()[i] >= offsets.data()[i - 1], "expected ascending offsets");
    expect(static_cast<size_t>(offsets.data()[offsets.size() - 1]) == n, "expected offsets up to the rows");
    return offsets.data();
}

Clusters clusters_of(const Codes &gallery, const Bytes &centres, const Numbers &offsets) {
    const Clusters clusters{gallery, codes_of(centres), checked_offsets(offsets, gallery.n)};
    expect_one_length(gallery, clusters.centres);
    expect(offsets.size() == clusters.centres.n + 1 && clusters.centres.n < kFar, "expected a centre for each list");
    return clusters;
}

nb::tuple assign_of(const Bytes &rows, const Bytes &centres, size_t n_threads) {
    const Codes r = codes_of(rows), c = codes_of(centres);
    expect_one_length(r, c);
    expect(c.n > 0 || r.n == 0, "expected at least one centre");
    auto [lists, first] = array<i64, 1>({r.n});
    auto [distances, second] = array<u32, 1>({r.n});
    {
        Released released;
        assign(settings_of(n_threads, {}, {}, c), r, c, lists, distances);
    }
    return nb::make_tuple(first, second);
}

nb::object majorities_of(const Bytes &rows, const Numbers &order, const Numbers &offsets, size_t n_threads) {
    const Codes r = codes_of(rows);
    const i64 *starts = checked_offsets(offsets, order.size());
    for (size_t i = 0; i < order.size(); i++)
        expect(order.data()[i] >= 0 && static_cast<size_t>(order.data()[i]) < r.n, "expected rows as the order");
    expect(n_threads >= 1, "expected at least one thread");
    const size_t n_lists = offsets.size() - 1;
    auto [codes, all] = array<u8, 2>({n_lists, r.rows.n_bytes});
    {
        Released released;
        majorities(r, order.data(), starts, n_lists, n_threads, codes);
    }
    return nb::cast(all);
}

nb::tuple search_lists_of(const Bytes &queries, const Bytes &gallery, const Bytes &centres, const Numbers &offsets,
                          size_t n_visited, size_t k, const Mask &mask, const Mask &allowed, const Ids &ids,
                          size_t n_threads) {
    const Codes q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(q, g);
    const Clusters clusters = clusters_of(g, centres, offsets);
    const u8 *bits = bits_of(mask, g);
    const Settings settings = settings_of(n_threads, allowed, ids, g);
    expect(k <= g.n && n_visited <= clusters.centres.n, "expected k of at most the rows, and at most all lists");
    auto [positions, first] = array<i64, 2>({q.n, k});
    auto [distances, second] = array<std::int32_t, 2>({q.n, k});
    auto [visited, third] = array<i64, 1>({q.n});
    {
        Released released;
        search_lists(settings, q, clusters, bits, n_visited, k,
                     [&, p = positions, d = distances, v = visited](size_t i, Nearest &list, i64 n_rows) {
                         expect(list.size() == k, "expected k of at most the rows that may be found");
                         write(list, p + i * k, d + i * k);
                         v[i] = n_rows;
                     });
    }
    return nb::make_tuple(first, second, third);
}

nb::tuple range_lists_of(const Bytes &queries, const Bytes &gallery, const Bytes &centres, const Numbers &offsets,
                         size_t n_visited, i64 max_distance, const Mask &mask, const Mask &allowed, const Ids &ids,
                         size_t n_threads) {
    const Codes q = codes_of(queries), g = codes_of(gallery);
    expect_one_length(q, g);
    const Clusters clusters = clusters_of(g, centres, offsets);
    const u8 *bits = bits_of(mask, g);
    const Settings settings = settings_of(n_threads, allowed, ids, g);
    expect(n_visited <= clusters.centres.n, "expected at most all lists");
    auto [visited, last] = array<i64, 1>({q.n});
    nb::tuple found = ranges_of(q.n, [&, v = visited](auto take) {
        range_lists(settings, q, clusters, bits, n_visited, bound_of(max_distance),
                    [&](size_t i, Nearest &list, i64 n_rows) {
                        take(i, list);
                        v[i] = n_rows;
                    });
    });
    return nb::make_tuple(found[0], found[1], found[2], last);
}

nb::object asymmetric_at_of(const nb::ndarray<const i8, nb::ndim<2>, nb::c_contig, nb::device::cpu> &values,
                            const Bytes &gallery, const Positions &positions, size_t n_threads) {
    const Codes g = codes_of(gallery);
    expect(values.shape(1) == 8 * g.rows.n_bytes, "expected a value for each bit of the codes");
    const size_t n_queries = values.shape(0), n_listed = checked_positions(positions, n_queries, g);
    auto [distances, all] = array<u32, 2>({n_queries, n_listed});
    {
        Released released;
        asymmetric_at(settings_of(n_threads, {}, {}, g), values.data(), n_queries, g.rows, positions.data(), n_listed,
                      distances);
    }
    return nb::cast(all);
}

std::vector<std::string> paths() {
    std::vector<std::string> names;
    for (const Path &path : kPaths)
        if (path.runs_here()) names.emplace_back(path.name);
    return names;
}

void use_path(const std::string &name) {
    for (const Path &path : kPaths)
        if (name == path.name && path.runs_here()) {
            chosen = &path;
            return;
        }
    throw std::invalid_argument("expected a path that this processor can run");
}

}  // namespace

NB_MODULE(_native, module) {
    module.def("paths", &paths, "The names of the paths that this processor can run, fastest first.");
    module.def("path", [] { return std::string(chosen.load()->name); }, "The name of the path in use.");
    module.def("use_path", &use_path, nb::arg("name"), "From now on, in all threads, the path of this name.");
    module.def("search", &search_of, nb::arg("queries"), nb::arg("gallery"), nb::arg("k"), nb::arg("mask").none(),
               nb::arg("allowed").none(), nb::arg("ids").none(), nb::arg("n_threads"));
    module.def("two_stage", &two_stage_of, nb::arg("short_queries"), nb::arg("short_gallery"),
               nb::arg("queries"), nb::arg("gallery"), nb::arg("mask").none(),
               nb::arg("w"), nb::arg("k"), nb::arg("ties"), nb::arg("sweep"), nb::arg("allowed").none(),
               nb::arg("ids").none(), nb::arg("n_threads"));
    module.def("range", &range_of, nb::arg("queries"), nb::arg("gallery"), nb::arg("max_distance"),
               nb::arg("mask").none(), nb::arg("allowed").none(), nb::arg("ids").none(), nb::arg("n_threads"));
    module.def("count", &count_of, nb::arg("queries"), nb::arg("gallery"), nb::arg("lengths"), nb::arg("thresholds"),
               nb::arg("mask").none(), nb::arg("allowed").none(), nb::arg("n_threads"));
    module.def("distances", &distances_of, nb::arg("queries"), nb::arg("gallery"), nb::arg("n_threads"));
    module.def("distances_at", &distances_at_of, nb::arg("queries"), nb::arg("gallery"), nb::arg("positions"),
               nb::arg("n_threads"));
    module.def("assign", &assign_of, nb::arg("rows"), nb::arg("centres"), nb::arg("n_threads"));
    module.def("majorities", &majorities_of, nb::arg("rows"), nb::arg("order"), nb::arg("offsets"),
               nb::arg("n_threads"));
    module.def("search_lists", &search_lists_of, nb::arg("queries"), nb::arg("gallery"), nb::arg("centres"),
               nb::arg("offsets"), nb::arg("n_visited"), nb::arg("k"), nb::arg("mask").none(),
               nb::arg("allowed").none(), nb::arg("ids").none(), nb::arg("n_threads"));
    module.def("range_lists", &range_lists_of, nb::arg("queries"), nb::arg("gallery"), nb::arg("centres"),
               nb::arg("offsets"), nb::arg("n_visited"), nb::arg("max_distance"), nb::arg("mask").none(),
               nb::arg("allowed").none(), nb::arg("ids").none(), nb::arg("n_threads"));
    module.def("asymmetric_at", &asymmetric_at_of, nb::arg("values"), nb::arg("gallery"), nb::arg("positions"),
               nb::arg("n_threads"));
}
