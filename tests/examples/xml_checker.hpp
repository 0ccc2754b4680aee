/// \file
/// Whether a text is well-formed XML, as far as our own SVG writer can go wrong.
#pragma once

#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace test_support {

/// Empty for one well-formed element with everything inside it closed, else what is wrong.
class XmlChecker {
 public:
  static std::string fault(std::string_view text) { return XmlChecker(text).check(); }

 private:
  explicit XmlChecker(std::string_view text) : text_(text) {}

  std::string check() {
    while (at_ < text_.size()) {
      if (text_[at_] != '<') {
        if (open_.empty() && !std::isspace(static_cast<unsigned char>(text_[at_]))) return "text outside the root";
        if (!character()) return "character or entity at " + std::to_string(at_);
      } else if (const std::string wrong = tag(); !wrong.empty()) {
        return wrong + " at " + std::to_string(at_);
      }
    }
    return !open_.empty() ? "unclosed " + open_.back() : roots_ != 1 ? "not one root" : "";
  }

  bool character() {
    if (text_[at_] == '&') {
      const auto end = text_.find(';', at_);
      static const std::set<std::string_view> known{"&amp", "&lt", "&gt", "&quot", "&#39"};
      if (end == text_.npos || !known.count(text_.substr(at_, end - at_))) return false;
      at_ = end;
    }
    const auto byte = static_cast<unsigned char>(text_[at_++]);
    return byte >= 0x20 || byte == '\n';
  }

  std::string name() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '-')) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string tag() {
    ++at_;
    if (text_.substr(at_, 1) == "/") {
      ++at_;
      if (open_.empty() || name() != open_.back()) return "closing tag";
      open_.pop_back();
      return text_.substr(at_++, 1) == ">" ? "" : "end of closing tag";
    }
    const std::string element = name();
    if (element.empty()) return "name";
    if (open_.empty()) ++roots_;
    std::set<std::string> attributes;
    while (text_.substr(at_, 1) == " ") {
      ++at_;
      if (!attributes.insert(name()).second || attributes.count("")) return "attribute";
      if (text_.substr(at_, 2) != "=\"") return "attribute value";
      at_ += 2;
      while (at_ < text_.size() && text_[at_] != '"')
        if (text_[at_] == '<' || !character()) return "attribute value";
      ++at_;
    }
    if (text_.substr(at_, 2) == "/>") return at_ += 2, "";
    if (text_.substr(at_++, 1) != ">") return "end of tag";
    open_.push_back(element);
    return "";
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int roots_ = 0;
  std::vector<std::string> open_;
};

/// How often `part` occurs in `text`.
inline int occurrences(std::string_view text, std::string_view part) {
  int count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace test_support
