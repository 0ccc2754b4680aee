// What a dependent writes first; the three builds beside this file compile it.
#include <tombola/tombola.hpp>

#include <cstdio>

int main() {
  std::puts("tombola works");
  return 0;
}
