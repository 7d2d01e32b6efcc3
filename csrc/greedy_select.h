// indices[b] = the n_select players outside selected[b] of the largest sums[b], which are selected
// then.
#pragma once

#include "op.h"

namespace pyxai {

struct GreedySelectParams {
  const double* sums;        // [batch, n_players], score of each player, any unit
  int32_t* selected;         // [batch, n_words], packed, written to
  int64_t batch, n_players;  // sizes of sums
  int64_t n_words;           // words of a row of selected
  int64_t n_select;          // players to add to each example
  bool absolute;             // compare |sums|
  int64_t* indices;          // [batch, n_select], best first; -1 where no player is left
  double* scores;            // [batch, n_select], their sums; -inf where no player is left
  int64_t* scratch;          // [batch, n_select], work space; null on the CPU, which needs none
};

PYXAI_DECLARE_OP(greedy_select, GreedySelectParams)

}  // namespace pyxai
