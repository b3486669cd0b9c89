// The paths of this kind of processor, fastest first; the last one runs everywhere.
#pragma once

#include "scalar.hpp"
#if defined(__x86_64__)
#include "avx2.hpp"
#include "avx512.hpp"
#elif defined(__aarch64__)
#include "neon.hpp"
#endif

namespace bitreid {

inline const Path kPaths[] = {
#if defined(__x86_64__)
    {"avx512", avx512::runs_here, avx512::scan, avx512::gather, avx512::select, avx512::find, avx512::several,
     avx512::prepare, avx512::load, avx512::block, avx512::sums},
    {"avx2", avx2::runs_here, avx2::scan, avx2::gather, avx2::select, nullptr, nullptr, nullptr, nullptr, nullptr,
     avx2::sums},
    {"popcnt", popcnt::runs_here, popcnt::scan, popcnt::gather, scalar::select, nullptr, nullptr, nullptr, nullptr,
     nullptr, popcnt::sums},
#elif defined(__aarch64__)
    {"neon", neon::runs_here, neon::scan, neon::gather, scalar::select, nullptr, nullptr, nullptr, nullptr,
     nullptr, neon::sums},
#endif
    {"scalar", scalar::runs_here, scalar::scan, scalar::gather, scalar::select, nullptr, nullptr, nullptr, nullptr,
     nullptr, scalar::sums},
};

}  // namespace bitreid
