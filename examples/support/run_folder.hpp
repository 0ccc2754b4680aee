/// \file
/// The folder that a run writes into, and that no other run may write into at the same time.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "tombola/core/error.hpp"
#include "tombola/core/file.hpp"

namespace examples {

/// Makes the folder if it is not there, and keeps other runs out of it as long as this object lives.
/// The lock is on the folder itself and belongs to the open file: it leaves nothing behind, and the system drops it with the process,
/// however that ends.
class RunFolder {
 public:
  /// Throws `std::runtime_error`, with nothing changed, if another run has the folder; or if files cannot be written into it.
  explicit RunFolder(const std::string& path) {
    std::error_code failure;
    std::filesystem::create_directories(path, failure);
    if (failure) throw std::runtime_error(path + ": cannot make the folder: " + failure.message());
    handle_ = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle_ < 0) throw std::runtime_error(path + ": cannot open the folder: " + std::generic_category().message(errno));
    try {
      // A file system that has no locks (any other failure than this one) is no reason not to run.
      if (flock(handle_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        throw std::runtime_error(path + ": expected a folder that no other run writes into (--out), got one where a run is going on");
      }
      const std::string probe = path + "/.write-test";
      tombola::write_file(probe, std::string(64 * 1024, ' '));  // not empty: a full disk takes empty files
      std::filesystem::remove(probe, failure);
    } catch (...) {
      close(handle_);
      throw;
    }
  }
  ~RunFolder() { close(handle_); }
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

 private:
  int handle_;
};

/// Removes what an earlier run concluded, if it did: it must not stand beside what this one writes.
inline void remove_result(const std::string& path) {
  std::error_code not_there;
  std::filesystem::remove(path, not_there);
}

/// The same for all that a search concludes in its folder, but for its ticket, its history and its weights.
inline void remove_conclusions(const std::string& folder) {
  for (const char* name : {"summary.json", "search.svg", "layers.svg", "gates.svg"}) remove_result(folder + "/" + name);
}

}  // namespace examples
