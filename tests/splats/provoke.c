// SPDX-License-Identifier: GPL-2.0
/*
 * provoke: make the kernel print what it prints when something is wrong.
 *
 * For reports that the kernel's own lkdtm can't provoke, or only together with
 * the end of the machine.  A name of the table below, written to the file
 * "provoke" in debugfs, does one thing wrong.  Runs only in the emulated machine
 * that tests/splats/capture boots, which is thrown away afterwards.
 */

#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/kfence.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/msr.h>

static DEFINE_MUTEX(outer);
static DEFINE_MUTEX(inner);
static DEFINE_RAW_SPINLOCK(safe);
static DEFINE_RAW_SPINLOCK(unsafe);
static DEFINE_SPINLOCK(sleeping);

/* What lockdep knows. */

static void circular(void)
{
	mutex_lock(&outer);
	mutex_lock(&inner);
	mutex_unlock(&inner);
	mutex_unlock(&outer);

	mutex_lock(&inner);
	mutex_lock(&outer);
	mutex_unlock(&outer);
	mutex_unlock(&inner);
}

static void recursive(void)
{
	static struct mutex same[2];
	int i;

	for (i = 0; i < 2; i++)
		mutex_init(&same[i]);
	mutex_lock(&same[0]);
	mutex_lock(&same[1]);
	mutex_unlock(&same[1]);
	mutex_unlock(&same[0]);
}

static void take_safe(struct irq_work *work)
{
	raw_spin_lock(&safe);
	raw_spin_unlock(&safe);
}

static void take_safe_in_interrupt(void)
{
	static struct irq_work work = IRQ_WORK_INIT_HARD(take_safe);

	irq_work_queue(&work);
	irq_work_sync(&work);
}

static void take_with_interrupts_on(raw_spinlock_t *lock)
{
	raw_spin_lock(lock);
	raw_spin_unlock(lock);
}

static void take_unsafe_below_safe(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&safe, flags);
	raw_spin_lock(&unsafe);
	raw_spin_unlock(&unsafe);
	raw_spin_unlock_irqrestore(&safe, flags);
}

static void inconsistent(void)
{
	take_with_interrupts_on(&safe);
	take_safe_in_interrupt();
}

static void irq_order(void)
{
	take_safe_in_interrupt();
	take_with_interrupts_on(&unsafe);
	take_unsafe_below_safe();
}

static void irq_inversion(void)
{
	take_unsafe_below_safe();
	take_with_interrupts_on(&unsafe);
	take_safe_in_interrupt();
}

static void nested(void)
{
	mutex_lock_nest_lock(&inner, &outer);
	mutex_unlock(&inner);
}

static void unbalanced(void)
{
	mutex_release(&inner.dep_map, _RET_IP_);
}

static void held_freed(void)
{
	struct mutex *lock = kmalloc(sizeof(*lock), GFP_KERNEL);

	mutex_init(lock);
	mutex_lock(lock);
	kfree(lock);
}

static int lock_and_leave(void *unused)
{
	mutex_lock(&outer);
	return 0;
}

static void held_at_exit(void)
{
	kthread_run(lock_and_leave, NULL, "provoke");
	msleep(500);
}

static void held_to_user(void)
{
	mutex_lock(&outer);
}

static void no_key(void)
{
	struct lockdep_map *map = kzalloc(sizeof(*map), GFP_KERNEL);

	lock_map_acquire(map);
	lock_map_release(map);
	kfree(map);
}

static void wait_context(void)
{
	raw_spin_lock(&safe);
	spin_lock(&sleeping);
	spin_unlock(&sleeping);
	raw_spin_unlock(&safe);
}

static void bad_magic(void)
{
	static spinlock_t never_initialised;

	spin_lock(&never_initialised);
	spin_unlock(&never_initialised);
}

static void suspicious_rcu(void)
{
	static int __rcu *pointer;

	(void)rcu_dereference(pointer);
}

/* Contexts. */

static void atomic_sleep(void)
{
	spin_lock(&sleeping);
	might_sleep();
	spin_unlock(&sleeping);
}

static void atomic_schedule(void)
{
	preempt_disable();
	schedule_timeout_uninterruptible(1);
	preempt_enable();
}

static void this_cpu(void)
{
	(void)smp_processor_id();
}

/* Exceptions. */

static void msr_read(void)
{
	u32 low, high;

	rdmsr(0x8ff, low, high);
}

static void msr_write(void)
{
	wrmsr(0x8ff, 1, 0);
}

static void divide(void)
{
	u32 low = 1, high = 0;

	asm volatile("divl %2" : "+a"(low), "+d"(high) : "r"(0));
}

static void invalid_opcode(void)
{
	asm volatile("ud2");
}

static void breakpoint(void)
{
	asm volatile("int3");
}

static void non_canonical(void)
{
	int *address = (int *)0xdead000000000000;

	OPTIMIZER_HIDE_VAR(address);
	READ_ONCE(*address);
}

static void no_page(void)
{
	WRITE_ONCE(*(int *)0xffffc8ff00000000, 1);
}

static void null_in_interrupt(struct irq_work *work)
{
	WRITE_ONCE(*(int *)8, 1);
}

static void irq_oops(void)
{
	static struct irq_work work = IRQ_WORK_INIT_HARD(null_in_interrupt);

	irq_work_queue(&work);
	irq_work_sync(&work);
}

/* Memory. */

static struct kmem_cache *cache(const char *name)
{
	return kmem_cache_create(name, 64, 0,
				 SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON, NULL);
}

static void slab_redzone(void)
{
	struct kmem_cache *slab = cache("provoke-redzone");
	volatile char *object = kmem_cache_alloc(slab, GFP_KERNEL);

	object[64] = 1;
	kmem_cache_free(slab, (void *)object);
}

static void slab_poison(void)
{
	struct kmem_cache *slab = cache("provoke-poison");
	volatile char *object = kmem_cache_alloc(slab, GFP_KERNEL);

	kmem_cache_free(slab, (void *)object);
	OPTIMIZER_HIDE_VAR(object);
	object[16] = 1;
	(void)kmem_cache_alloc(slab, GFP_KERNEL);
}

static void slab_double_free(void)
{
	struct kmem_cache *slab = cache("provoke-twice");
	void *object = kmem_cache_alloc(slab, GFP_KERNEL), *again = object;

	kmem_cache_free(slab, object);
	OPTIMIZER_HIDE_VAR(again);
	kmem_cache_free(slab, again);
}

static void slab_left(void)
{
	struct kmem_cache *slab = cache("provoke-left");

	(void)kmem_cache_alloc(slab, GFP_KERNEL);
	kmem_cache_destroy(slab);
}

static void kfence(void)
{
	unsigned long end = jiffies + 20 * HZ;
	volatile char *object;

	/* One allocation in a while is KFENCE's. */
	while (time_before(jiffies, end)) {
		object = kmalloc(64, GFP_KERNEL);
		kfree((void *)object);
		OPTIMIZER_HIDE_VAR(object);
		if (is_kfence_address((void *)object)) {
			(void)object[0];
			return;
		}
		cond_resched();
	}
	pr_info("provoke: KFENCE took no allocation\n");
}

static void bad_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	__SetPageLocked(page);
	__free_page(page);
}

static void vmalloc_too_much(void)
{
	vfree(vmalloc(1UL << 45));
}

static void shift(void)
{
	int bits = 40;

	OPTIMIZER_HIDE_VAR(bits);
	bits = 1 << bits;
	OPTIMIZER_HIDE_VAR(bits);
}

static void sysfs_twice(void)
{
	struct kobject *first = kobject_create_and_add("provoke", kernel_kobj);

	kobject_put(kobject_create_and_add("provoke", kernel_kobj));
	kobject_put(first);
}

/* Time. */

static void spin(int seconds)
{
	ktime_t end = ktime_add_ms(ktime_get(), seconds * 1000);

	while (ktime_before(ktime_get(), end))
		cpu_relax();
}

static void nothing(struct rcu_head *head)
{
}

static void rcu_stall(void)
{
	static struct rcu_head head;

	call_rcu(&head, nothing);
	preempt_disable();
	spin(12);
	preempt_enable();
}

static void soft_lockup(void)
{
	preempt_disable();
	spin(12);
	preempt_enable();
}

static void hard_lockup(void)
{
	unsigned long flags;

	local_irq_save(flags);
	spin(12);
	local_irq_restore(flags);
}

static irqreturn_t not_mine(int irq, void *unused)
{
	return IRQ_NONE;
}

static void irq_nobody(void)
{
	unsigned long flags;
	int irq = irq_alloc_desc(0), i;

	irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
	irq_clear_status_flags(irq, IRQ_NOREQUEST);
	if (request_irq(irq, not_mine, 0, "provoke", NULL)) {
		pr_info("provoke: no interrupt %d\n", irq);
		return;
	}
	/* It takes 99900 of 100000 without a pause of a tenth of a second. */
	for (i = 0; i < 2000000 && !irqd_irq_disabled(irq_get_irq_data(irq)); i++) {
		local_irq_save(flags);
		generic_handle_irq(irq);
		local_irq_restore(flags);
	}
	free_irq(irq, NULL);
	irq_free_desc(irq);
}

static const struct {
	const char *name;
	void (*provoke)(void);
} table[] = {
	{ "circular", circular },
	{ "recursive", recursive },
	{ "inconsistent", inconsistent },
	{ "irq-order", irq_order },
	{ "irq-inversion", irq_inversion },
	{ "nested", nested },
	{ "unbalanced", unbalanced },
	{ "held-freed", held_freed },
	{ "held-at-exit", held_at_exit },
	{ "held-to-user", held_to_user },
	{ "no-key", no_key },
	{ "wait-context", wait_context },
	{ "bad-magic", bad_magic },
	{ "suspicious-rcu", suspicious_rcu },
	{ "atomic-sleep", atomic_sleep },
	{ "atomic-schedule", atomic_schedule },
	{ "this-cpu", this_cpu },
	{ "msr-read", msr_read },
	{ "msr-write", msr_write },
	{ "divide", divide },
	{ "invalid-opcode", invalid_opcode },
	{ "breakpoint", breakpoint },
	{ "non-canonical", non_canonical },
	{ "no-page", no_page },
	{ "irq-oops", irq_oops },
	{ "slab-redzone", slab_redzone },
	{ "slab-poison", slab_poison },
	{ "slab-double-free", slab_double_free },
	{ "slab-left", slab_left },
	{ "kfence", kfence },
	{ "bad-page", bad_page },
	{ "vmalloc", vmalloc_too_much },
	{ "shift", shift },
	{ "sysfs-twice", sysfs_twice },
	{ "rcu-stall", rcu_stall },
	{ "soft-lockup", soft_lockup },
	{ "hard-lockup", hard_lockup },
	{ "irq-nobody", irq_nobody },
};

static ssize_t provoke_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
	char name[32] = "";
	int i;

	if (size >= sizeof(name) || copy_from_user(name, text, size))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		if (!strcmp(strim(name), table[i].name)) {
			table[i].provoke();
			return size;
		}
	}
	return -EINVAL;
}

static const struct file_operations provoke_file = {
	.owner = THIS_MODULE,
	.write = provoke_write,
};

/* It stays loaded: what it has done wrong may still refer to it. */
static int __init provoke_init(void)
{
	debugfs_create_file("provoke", 0200, NULL, NULL, &provoke_file);
	return 0;
}
module_init(provoke_init);

MODULE_DESCRIPTION("Provokes the kernel's reports of trouble");
MODULE_LICENSE("GPL");
