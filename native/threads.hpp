// Work for several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace bitreid {

using std::size_t;

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
        // The system gives no more threads: those that have started do the work.
    }
    work();
    for (auto &thread : threads) thread.join();
    if (failed) std::rethrow_exception(failed);
}

}  // namespace bitreid
