// Any processor; and any of the kind x86-64 that has the instruction popcnt.
#pragma once

#include "path.hpp"

#if defined(__x86_64__)
#define BITREID_TARGET(features) __attribute__((target(features)))
#define BITREID_INLINE __attribute__((always_inline)) inline
#endif

namespace bitreid::scalar {

inline bool runs_here() { return true; }

#define BITREID_WORDS
#include "words.inc"
#undef BITREID_WORDS

inline std::size_t select(const u32 *distances, std::size_t n, u32 below, u64 first, u64 *keys) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; i++) {
        // Written always, kept if near enough: a branch would be guessed wrong too often.
        keys[found] = u64{distances[i]} << kRowBits | (first + i);
        found += distances[i] < below;
    }
    return found;
}

}  // namespace bitreid::scalar

#if defined(__x86_64__)
namespace bitreid::popcnt {

inline bool runs_here() { return __builtin_cpu_supports("popcnt"); }

#define BITREID_WORDS BITREID_TARGET("popcnt")
#include "words.inc"
#undef BITREID_WORDS

}  // namespace bitreid::popcnt
#endif
