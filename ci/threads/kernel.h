/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel's API as the functions need that `make threads` takes out of a tree,
 * for user space.  ThreadSanitizer watches; what is atomic or ordered in the kernel is so here.
 */
#ifndef THREADS_KERNEL_H
#define THREADS_KERNEL_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned __int128 u128;

#define BIT(nr)			(1UL << (nr))
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define unlikely(what)		(what)
#define container_of(pointer, type, member)	((type *)((char *)(pointer) - __builtin_offsetof(type, member)))

/*
 * What KVM reads with READ_ONCE() is written with a plain assignment of a word by who holds
 * the lock.  To the kernel, and to KCSAN, such a write is atomic: hence the type.
 */
#define word_t			_Atomic unsigned long
#define READ_ONCE(what)		__atomic_load_n(&(what), __ATOMIC_RELAXED)
#define WRITE_ONCE(what, value)	__atomic_store_n(&(what), value, __ATOMIC_RELAXED)
#define smp_load(pointer)	__atomic_load_n(pointer, __ATOMIC_SEQ_CST)
#define smp_store(pointer, value)	__atomic_store_n(pointer, value, __ATOMIC_SEQ_CST)

typedef struct {
	int counter;
} atomic_t;

#define atomic_read(atomic)	__atomic_load_n(&(atomic)->counter, __ATOMIC_RELAXED)
#define atomic_add(n, atomic)	((void)__atomic_fetch_add(&(atomic)->counter, n, __ATOMIC_RELAXED))
#define atomic_add_return(n, atomic)	__atomic_add_fetch(&(atomic)->counter, n, __ATOMIC_SEQ_CST)

struct rw_semaphore {
	pthread_rwlock_t lock;
};

#define init_rwsem(sem)		pthread_rwlock_init(&(sem)->lock, NULL)
#define down_read(sem)		pthread_rwlock_rdlock(&(sem)->lock)
#define up_read(sem)		pthread_rwlock_unlock(&(sem)->lock)
#define down_write(sem)		pthread_rwlock_wrlock(&(sem)->lock)
#define up_write(sem)		pthread_rwlock_unlock(&(sem)->lock)

typedef pthread_mutex_t raw_spinlock_t;

#define raw_spin_lock_init(lock)	pthread_mutex_init(lock, NULL)
#define raw_spin_lock_irqsave(lock, flags)	((void)((flags) = 0), pthread_mutex_lock(lock))
#define raw_spin_unlock_irqrestore(lock, flags)	pthread_mutex_unlock(lock)

static inline void end_spinlock_guard(raw_spinlock_t **lock)
{
	pthread_mutex_unlock(*lock);
}

static inline void end_rwsem_guard(struct rw_semaphore **sem)
{
	up_read(*sem);
}

#define guard(kind)		guard_##kind
#define guard_rwsem_read(sem)	\
	struct rw_semaphore *guarded __attribute__((cleanup(end_rwsem_guard), unused)) = (down_read(sem), (sem))
#define guard_rwsem_write(sem)	\
	struct rw_semaphore *guarded __attribute__((cleanup(end_rwsem_guard), unused)) = (down_write(sem), (sem))
#define guard_raw_spinlock_irqsave(lock)	\
	raw_spinlock_t *guarded __attribute__((cleanup(end_spinlock_guard), unused)) = \
		(pthread_mutex_lock(lock), (lock))
#define lockdep_assert_held_write(sem)	((void)(sem))

/* On one vCPU's own data only. */
#define __set_bit(nr, word)	(*(word) |= BIT(nr))
#define __clear_bit(nr, word)	(*(word) &= ~BIT(nr))

/* Nothing that these functions free is freed by a grace period of it. */
#define srcu_read_lock(srcu)	((void)(srcu), 0)
#define srcu_read_unlock(srcu, index)	((void)(srcu), (void)(index))

#define preempt_disable()	do { } while (0)
#define preempt_enable()	do { } while (0)
#define BUILD_BUG_ON(what)	do { } while (0)
#define WARN_ON(what)		({ bool warned = (what); warned; })

/* The violations that ci/threads/runs can name. */
static inline void violated(const char *name)
{
	printf("violated: %s\n", name);
	fflush(stdout);
	_exit(1);
}

static inline void check(bool right, const char *name)
{
	if (!right)
		violated(name);
}

static u32 seed;

/* Where a thread's random numbers begin; never 0. */
static inline u32 seeded(u32 thread)
{
	return 2654435769u * (64 * seed + thread + 1);
}

static inline u32 pick(u32 *state, u32 below)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % below;
}

#endif /* THREADS_KERNEL_H */
