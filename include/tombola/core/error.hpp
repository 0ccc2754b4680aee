/// \file
/// How the library refuses: a caller's mistake is `std::invalid_argument`, a bad file is `std::runtime_error`.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tombola/core/isa.hpp"

namespace tombola::inline TOMBOLA_ISA {

namespace detail {

/// Something that `operator<<` writes, whatever its type: messages are put together in one place, not at every check.
class Part {
 public:
  template <class T>
  explicit Part(const T& value) noexcept {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      text_ = value;
      write_ = [](std::ostream& out, const Part& part) { out << part.text_; };
    } else if constexpr (std::is_function_v<T>) {  // such as std::hex
      function_ = reinterpret_cast<void (*)()>(&value);
      write_ = [](std::ostream& out, const Part& part) { out << reinterpret_cast<T*>(part.function_); };
    } else {
      value_ = &value;
      write_ = [](std::ostream& out, const Part& part) { out << *static_cast<const T*>(part.value_); };
    }
  }
  void write(std::ostream& out) const { write_(out, *this); }

 private:
  std::string_view text_;
  const void* value_ = nullptr;
  void (*function_)() = nullptr;
  void (*write_)(std::ostream&, const Part&) = nullptr;
};

[[gnu::noinline]] inline std::string joined(std::initializer_list<Part> parts) {
  std::ostringstream text;
  for (const Part& part : parts) part.write(text);
  return std::move(text).str();
}
[[noreturn, gnu::noinline, gnu::cold]] inline void refuse_argument(std::initializer_list<Part> parts) { throw std::invalid_argument(joined(parts)); }

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
  throw std::runtime_error(concat(path, ": at byte ", offset, ": expected ", expected, ", got ", got));
}

}  // namespace tombola::inline TOMBOLA_ISA
