/*
 * Included ahead of mlx-c on Linux, by the C++ compiler and by bindgen.
 * It closes three gaps between mlx-c, which is written for Apple systems, and a plain Linux.
 */
#pragma once

#include <stdint.h>

/*
 * mlx-c declares its half-precision accessors on ARM only, and mlx-rs wants them everywhere. They
 * only move bits, so unsigned integers of the same size do. The guard keeps mlx-c's half.h out.
 */
#define MLX_HALF_H
#define HAS_FLOAT16
#define HAS_BFLOAT16
typedef uint16_t float16_t;
typedef uint16_t bfloat16_t;

#ifdef __cplusplus

/* std::format, which mlx-c uses with plain "{}" places, is in libstdc++ from GCC 13 on. */
#if __has_include(<format>)
#include <format>
#else
#include <sstream>
#include <string>
#include <string_view>

namespace std {

inline void toolglot_format_rest(ostringstream& out, string_view text) {
  out << text;
}

template <class First, class... Rest>
void toolglot_format_rest(ostringstream& out, string_view text, const First& first, const Rest&... rest) {
  const auto place = text.find("{}");
  out << text.substr(0, place) << first;
  toolglot_format_rest(out, place == text.npos ? string_view() : text.substr(place + 2), rest...);
}

template <class... Args>
string format(string_view text, const Args&... args) {
  ostringstream out;
  toolglot_format_rest(out, text, args...);
  return out.str();
}

} // namespace std
#endif

/* The Darwin clock from which mlx-rs seeds its own random state. Any clock does. */
#include <chrono>

extern "C" inline __attribute__((used)) uint64_t mach_approximate_time() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

#endif
