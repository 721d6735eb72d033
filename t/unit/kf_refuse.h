/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out when a test wants it to. For programs linked with --wrap=malloc,
 * --wrap=calloc and --wrap=realloc; included once in each.
 */
#ifndef KF_REFUSE_H
#define KF_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

/* Which allocation is refused, counting down; 0: none. */
static unsigned refuse;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool refused(void)
{
    return refuse > 0 && --refuse == 0;
}

void *__wrap_malloc(size_t n)
{
    return refused() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return refused() ? NULL : __real_realloc(p, n);
}

#endif
