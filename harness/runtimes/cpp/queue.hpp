// The jobs of one process: a single one in DIR, or those of a session, each in a folder of its own.
// See harness/PROTOCOL.md.
#pragma once

#include <optional>
#include <string>

namespace deepmatrix {

class Queue {
  public:
    // Throws BadInput where session.json cannot be used.
    explicit Queue(std::string directory);

    // Return the control directory of the next job, or nothing where there is none; the answer of
    // the one before is written. Throws BadInput where the host does not hand it in: it has died.
    std::optional<std::string> next();

  private:
    std::string folder(int number) const;
    void await_next() const;

    const std::string directory_;
    std::string nonce_;  // empty where DIR is the only job's
    double wait_s_ = 0;
    int number_ = 0;
};

}  // namespace deepmatrix
