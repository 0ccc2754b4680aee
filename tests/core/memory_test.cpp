#include "tombola/core/memory.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <vector>

// Blocks ask for aligned memory, so counting shows what is given back to the system, and when. (Teams of threads do too.)
namespace {
std::atomic<long> live{0};        ///< asked for and not given back
std::atomic<long> live_large{0};  ///< of these, aligned to a large page
std::atomic<int> refused{0};      ///< so many requests that come next
}
using namespace tombola;

void* operator new(std::size_t bytes, std::align_val_t align) {
  if (refused > 0 && refused-- > 0) throw std::bad_alloc();
  const auto multiple = static_cast<std::size_t>(align);
  void* data = std::aligned_alloc(multiple, (bytes + multiple - 1) / multiple * multiple);
  if (data == nullptr) throw std::bad_alloc();
  ++live;
  if (multiple == detail::large_page) ++live_large;
  return data;
}
void operator delete(void* data, std::align_val_t align) noexcept {
  if (data != nullptr) --live;
  if (data != nullptr && static_cast<std::size_t>(align) == detail::large_page) --live_large;
  std::free(data);
}
void operator delete(void* data, std::size_t, std::align_val_t align) noexcept { operator delete(data, align); }

TEST_CASE("block: aligned, owned, moved, released") {
  const long before = live;
  {
    Block block(100);
    CHECK(live == before + 1);
    CHECK(block.bytes() == 100);
    CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % alignment == 0);
    std::byte* data = block.data();
    Block other(std::move(block));
    CHECK(other.data() == data);
    CHECK(block.data() == nullptr);  // NOLINT(bugprone-use-after-move): that is what is tested
    CHECK(block.bytes() == 0);
    other.release();
    CHECK(live == before);
    CHECK(other.data() == nullptr);
    CHECK(other.bytes() == 0);
    other.release();  // twice does nothing
    CHECK(live == before);
  }
  CHECK(live == before);
  CHECK(Block(0).data() == nullptr);
  CHECK(live == before);
}

TEST_CASE("block: assignment gives back at once what it replaces") {
  const long before = live;
  Block a(64), b(128);
  std::byte* data = b.data();
  a = std::move(b);
  CHECK(live == before + 1);
  CHECK(a.data() == data);
  CHECK(a.bytes() == 128);
  CHECK(b.data() == nullptr);  // NOLINT(bugprone-use-after-move)
  Block& self = a;
  a = std::move(self);
  CHECK(a.data() == data);
  CHECK(live == before + 1);
}

TEST_CASE("pool: hands a released block out again, for any request of its size class") {
  const long before = live;
  {
    Pool pool;
    Block first = pool.take(1000);
    std::byte* data = first.data();
    first.release();
    CHECK(live == before + 1);  // kept
    Block again = pool.take(900);
    CHECK(again.data() == data);  // 897 to 1024 bytes are one class
    CHECK(again.bytes() == 1024);
    Block second = pool.take(1000);
    CHECK(second.data() != data);
    Block other_class = pool.take(1025);
    CHECK(other_class.bytes() == 1280);
    CHECK(live == before + 3);
  }
  CHECK(live == before);
}

TEST_CASE("pool: no class wastes more than a quarter of the request, and each covers it") {
  Pool pool;
  for (std::size_t bytes = 1; bytes <= 5000; ++bytes) {
    const std::size_t got = pool.take(bytes).bytes();
    REQUIRE(got >= bytes);
    REQUIRE(got <= std::max<std::size_t>(256, bytes + bytes / 4));
  }
  for (std::size_t power = 13; power <= 24; ++power) {
    const std::size_t bytes = std::size_t{1} << power;
    CHECK(pool.take(bytes - 1).bytes() == bytes);
    CHECK(pool.take(bytes).bytes() == bytes);
    CHECK(pool.take(bytes + 1).bytes() == bytes + bytes / 4);
  }
  CHECK(pool.take(0).bytes() == 256);
}

TEST_CASE("pool: every byte of a block may be written") {
  Pool pool;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{257}, std::size_t{1281}, std::size_t{100'000}}) {
    Block block = pool.take(bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % alignment == 0);
    std::fill_n(block.data(), block.bytes(), std::byte{0xA5});  // the address sanitizer watches
    CHECK(block.data()[block.bytes() - 1] == std::byte{0xA5});
  }
}

TEST_CASE("block and pool: large ones begin with a large page, and are given back as they were asked for") {
  const long before = live, large_before = live_large;
  constexpr std::size_t least = 2 * detail::large_page;
  {
    Pool pool;
    const Block small(least - 1), large(least);
    CHECK(live_large == large_before + 1);
    CHECK(reinterpret_cast<std::uintptr_t>(large.data()) % detail::large_page == 0);
    for (const std::size_t bytes : {least - least / 8, least, least + 1, 3 * least}) {
      Block block = pool.take(bytes);
      CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % (bytes < least ? alignment : detail::large_page) == 0);
      std::fill_n(block.data(), block.bytes(), std::byte{0x5A});  // the address sanitizer watches
    }
    CHECK(live == before + 6);
    CHECK(live_large == large_before + 4);
    pool.trim();
    CHECK(live_large == large_before + 1);
  }
  CHECK(live == before);
  CHECK(live_large == large_before);
}

TEST_CASE("pool: trim returns kept blocks, not those in use") {
  const long before = live;
  Pool pool;
  std::vector<Block> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(pool.take(4096));
  CHECK(live == before + 10);
  blocks.resize(3);
  CHECK(live == before + 10);
  pool.trim();
  CHECK(live == before + 3);
  std::byte* data = blocks.back().data();
  blocks.pop_back();
  CHECK(pool.take(4096).data() == data);  // still works after a trim
  blocks.clear();
  pool.trim();
  CHECK(live == before);
}

TEST_CASE("pool: a moved block still goes back to its pool, and reused memory costs no new block") {
  const long before = live;
  Pool pool;
  for (int round = 0; round < 50; ++round) {
    Block a = pool.take(3000), b = pool.take(3000), c = pool.take(70'000);
    Block moved = std::move(a);
    b = std::move(c);
    CHECK(moved.bytes() == 3072);
    CHECK(b.bytes() == 81'920);
  }
  CHECK(live == before + 3);
}

TEST_CASE("pool and workspace: a request that nobody can serve is refused, not wrapped around") {
  const std::size_t absurd = ~std::size_t{0};
  Pool pool;
  CHECK_THROWS_AS(pool.take(absurd), std::bad_alloc);
  CHECK_THROWS_AS(pool.take((std::size_t{1} << 62) + 1), std::bad_alloc);
  Workspace workspace;
  CHECK_THROWS_AS(workspace.take<double>(absurd / 8 + 2), std::bad_alloc);  // times 8 is 8 modulo 2^64
  CHECK_THROWS_AS(workspace.take<std::uint8_t>(absurd), std::bad_alloc);    // rounded up to whole lines it is 0 modulo 2^64
}

TEST_CASE("pool: gives back what it keeps before it says that there is no memory") {
  const long before = live;
  Pool pool;
  Block used = pool.take(1000);
  for (const std::size_t bytes : {1000, 5000, 90'000}) pool.take(bytes).release();
  CHECK(live == before + 4);
  refused = 1;
  const Block other = pool.take(300'000);
  CHECK(other.bytes() >= 300'000);
  CHECK(live == before + 2);
  refused = 2;
  CHECK_THROWS_AS(pool.take(700'000), std::bad_alloc);
  CHECK((refused == 0 && live == before + 2));
}

TEST_CASE("workspace: grows to the largest request and stays there") {
  const long before = live;
  {
    Workspace workspace;
    float* small = workspace.take<float>(10);
    CHECK(reinterpret_cast<std::uintptr_t>(small) % alignment == 0);
    double* large = workspace.take<double>(1000);
    std::fill_n(large, 1000, 1.0);
    CHECK(live == before + 1);
    CHECK(static_cast<void*>(workspace.take<float>(2000)) == large);  // the same 8000 bytes
    CHECK(static_cast<void*>(workspace.take<std::uint8_t>(1)) == large);
    CHECK(live == before + 1);
  }
  CHECK(live == before);
}
