/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's engine: the child's.
 */
#include "delivery/kf_keeper_config.h"

const kf_keeper_calls_t kf_keeper_engine_calls = {.put = kf_engine_put,
                                                  .filed = kf_engine_filed,
                                                  .unfiled = kf_engine_unfiled,
                                                  .look_behind = kf_engine_look_behind,
                                                  .tell = kf_engine_tell,
                                                  .recall = kf_engine_recall,
                                                  .tell_hold = kf_engine_tell_hold,
                                                  .know_hold = kf_engine_know_hold};
