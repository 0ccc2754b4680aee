/// \file
/// How the library refuses: a caller's mistake is `std::invalid_argument`, a bad file is `std::runtime_error`.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// Something that `operator<<` writes, whatever its type: messages are put together in one place, not at every check.
class Part {
 public:
  explicit Part(const char* text) noexcept : value_(text), write_(write_text) {}  // literals of all lengths
  template <class T>
  explicit Part(const T& value) noexcept : write_(write_value<T>) {
    if constexpr (std::is_function_v<T>) {  // such as std::hex
      value_ = reinterpret_cast<const void*>(&value);
    } else {
      value_ = &value;
    }
  }
  void write(std::ostream& out) const { write_(out, value_); }

 private:
  static void write_text(std::ostream& out, const void* text) { out << static_cast<const char*>(text); }
  template <class T>
  static void write_value(std::ostream& out, const void* value) {
    if constexpr (std::is_function_v<T>) {
      out << reinterpret_cast<T*>(const_cast<void*>(value));
    } else {
      out << *static_cast<const T*>(value);
    }
  }

  const void* value_;
  void (*write_)(std::ostream&, const void*);
};

[[gnu::noinline]] inline std::string joined(std::initializer_list<Part> parts) {
  std::ostringstream text;
  for (const Part& part : parts) part.write(text);
  return std::move(text).str();
}
[[noreturn, gnu::noinline, gnu::cold]] inline void refuse_argument(std::initializer_list<Part> parts) { throw std::invalid_argument(joined(parts)); }
[[noreturn, gnu::noinline, gnu::cold]] inline void refuse_file(const std::string& path, std::uint64_t offset, const Part& expected, const Part& got) {
  throw std::runtime_error(joined({Part(path), Part(": at byte "), Part(offset), Part(": expected "), expected, Part(", got "), got}));
}

}  // namespace detail

/// The parts written one after the other with `operator<<`.
template <class... Parts>
std::string concat(const Parts&... parts) {
  return detail::joined({detail::Part(parts)...});
}

/// Throws `std::invalid_argument` with the parts as its message unless `holds`.
/// The parts are formatted only on failure. Example: `require(rows == 3, "linear: expected 3 rows, got ", rows)`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) [[unlikely]] detail::refuse_argument({detail::Part(parts)...});
}

/// Throws `std::runtime_error` "path: at byte offset: expected ..., got ...".
template <class Expected, class Got>
[[noreturn]] void refuse_file(const std::string& path, std::uint64_t offset, const Expected& expected, const Got& got) {
  detail::refuse_file(path, offset, detail::Part(expected), detail::Part(got));
}

}  // namespace tombola::inline TOMBOLA_ISA
