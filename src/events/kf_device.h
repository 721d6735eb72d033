/* SPDX-License-Identifier: Apache-2.0
 *
 * The device that a batch belongs to, by the best id that it has (mParticle format reference,
 * section 3.4). Knows no connection. Pure; any thread.
 */
#ifndef KF_DEVICE_H
#define KF_DEVICE_H

#include "events/kf_post.h"

/* Which id it is, and its text. Ids of different names are never the same device. */
typedef struct {
    kf_str_t name;
    kf_str_t id;
} kf_device_t;

/**
 * The device key: mp_deviceid, else the first usable id of device_info in the reference's order,
 * else the mpid, else the first usable user identity as they stand in the batch.
 * @param scratch  holds an id that had to be unescaped; failed when out of memory
 * @return false if the batch has none, and when out of memory
 */
bool kf_device_find(const kf_item_t *batch, kf_buf_t *scratch, kf_device_t *device);

#endif
