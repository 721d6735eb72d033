/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine's connections know and tell of holds (kf_engine.h). The keeper's thread.
 */
#include "delivery/kf_engine_int.h"

void kf_engine_tell_hold(kf_engine_t *engine, int connection, kf_hold_news_t *news)
{
    pthread_mutex_lock(&engine->lock);
    kf_destination_tell_hold(&engine->lanes[connection].destination, news);
    pthread_mutex_unlock(&engine->lock);
}

void kf_engine_know_hold(kf_engine_t *engine, int connection, const kf_hold_known_t *known)
{
    kf_now_t now = kf_now();

    pthread_mutex_lock(&engine->lock);
    kf_destination_know_hold(&engine->lanes[connection].destination, known, now);
    pthread_mutex_unlock(&engine->lock);
}
