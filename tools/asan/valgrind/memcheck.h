/*
 * Valgrind's client requests, answered by AddressSanitizer.
 *
 * PostgreSQL takes memory in large blocks and deals them out itself, so AddressSanitizer alone sees neither a write past the end
 * of a small palloc nor a pointer into a memory context that is gone. The server tells Valgrind about both (USE_VALGRIND); with
 * this header in the place of Valgrind's own it tells AddressSanitizer.
 *
 * AddressSanitizer knows "may be touched" and "may not", and nothing about uninitialized bytes: defined and undefined are one.
 * VALGRIND_MEMPOOL_FREE has no size; but with assertions the server overwrites what is freed, and forbids it there.
 */
#ifndef USHER_ASAN_MEMCHECK_H
#define USHER_ASAN_MEMCHECK_H

#include <sanitizer/asan_interface.h>

#define VALGRIND_MAKE_MEM_NOACCESS(addr, size)           ASAN_POISON_MEMORY_REGION((addr), (size))
#define VALGRIND_MAKE_MEM_UNDEFINED(addr, size)          ASAN_UNPOISON_MEMORY_REGION((addr), (size))
#define VALGRIND_MAKE_MEM_DEFINED(addr, size)            ASAN_UNPOISON_MEMORY_REGION((addr), (size))
#define VALGRIND_MEMPOOL_ALLOC(pool, addr, size)         ASAN_UNPOISON_MEMORY_REGION((addr), (size))
#define VALGRIND_MEMPOOL_CHANGE(pool, from, to, size)    ASAN_UNPOISON_MEMORY_REGION((to), (size))
#define VALGRIND_MEMPOOL_FREE(pool, addr)                do {} while (0)
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, zeroed)   do {} while (0)
#define VALGRIND_DESTROY_MEMPOOL(pool)                   do {} while (0)
#define VALGRIND_CHECK_MEM_IS_DEFINED(addr, size)        do {} while (0)

#endif
