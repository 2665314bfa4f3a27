// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's list of the VMs that the GA Log may name, with real threads: VMs come and go, the
 * log's thread wakes vCPUs, also of VMs that are gone, and the work item for a log that has
 * overflowed wakes all.  ci/models/galog.pml is a model of it.
 *
 * take arch/x86/kvm/svm/avic.c: avic_ga_log_notifier avic_ga_log_overflow
 * take arch/x86/kvm/svm/avic.c: avic_add_vm_to_ga_log_list avic_vm_pre_destroy
 *
 * bases from v6.12
 */
#include "kernel.h"

#define OWNERS		3	/* threads that have a VM each, one after the other */
#define LIVES		150
#define VCPUS		3
#define POSTS		8	/* for each VM */
#define IDS		4	/* one more than VMs, i.e. an ID is soon used again */
#define LOG_ENTRIES	8

struct work_struct {
	int unused;
};

struct kvm_vcpu {
	int asleep;
};

struct kvm {
	int lock;
	struct kvm_vcpu *vcpus[VCPUS];
};

struct kvm_svm {
	struct kvm kvm;
	u32 avic_vm_id;
	bool avic_posted_irqs;
};

/* Of an array; finding an entry takes no lock, as in the kernel. */
static struct {
	pthread_mutex_t xa_lock;
	struct kvm_svm *entries[IDS + 1];
} svm_vms = { .xa_lock = PTHREAD_MUTEX_INITIALIZER };

static u32 next_vm_id;
static u32 resched_random = 1;

#define XA_LIMIT(low, high)	0
#define AVIC_VM_ID_MASK		IDS
#define GFP_KERNEL		0
#define xa_lock(xa)		pthread_mutex_lock(&(xa)->xa_lock)
#define xa_unlock(xa)		pthread_mutex_unlock(&(xa)->xa_lock)
#define xa_load(xa, index)	smp_load(&(xa)->entries[index])
#define xa_for_each(xa, index, entry)				\
	for (index = 0; index <= IDS; index++)			\
		if ((entry = xa_load(xa, index)) != NULL)

static void __xa_erase(u32 index)
{
	xa_lock(&svm_vms);
	smp_store(&svm_vms.entries[index], NULL);
	xa_unlock(&svm_vms);
}

#define xa_erase(xa, index)	__xa_erase(index)

static int __xa_alloc(u32 *id, struct kvm_svm *entry)
{
	u32 index = next_vm_id;
	int r = -EBUSY, i;

	xa_lock(&svm_vms);
	index = next_vm_id;
	for (i = 0; i < IDS && r; i++) {
		index = index % IDS + 1;
		if (!xa_load(&svm_vms, index))
			r = 0;
	}
	if (!r) {
		*id = next_vm_id = index;
		smp_store(&svm_vms.entries[index], entry);
	}
	xa_unlock(&svm_vms);
	return r;
}

#define xa_alloc_cyclic(xa, id, entry, limit, next, gfp)	((void)(next), __xa_alloc(id, entry))

/* Who walks the list doesn't run for long with the lock held. */
static bool __cond_resched_lock(pthread_mutex_t *lock)
{
	if (pick(&resched_random, 2))
		return false;
	pthread_mutex_unlock(lock);
	sched_yield();
	pthread_mutex_lock(lock);
	return true;
}

#define cond_resched_lock(lock)	__cond_resched_lock(lock)

#define to_kvm_svm(kvm)		container_of(kvm, struct kvm_svm, kvm)
#define enable_apicv		true
#define WARN_ON_ONCE(what)	(!!(what))
#define lockdep_assert_held(lock)	((void)(lock))
#define pr_debug(...)		((void)0)
#define trace_kvm_avic_ga_log(...)	((void)0)
#define AVIC_GATAG(vm_id, idx)	((vm_id) << 8 | (idx))
#define AVIC_GATAG_TO_VMID(tag)	((tag) >> 8)
#define AVIC_GATAG_TO_VCPUIDX(tag)	((tag) & 0xff)
#define AVIC_GATAG_TO_VCPUID(tag)	((tag) & 0xff)

#define kvm_get_vcpu(kvm, i)		((i) < VCPUS ? smp_load(&(kvm)->vcpus[i]) : NULL)
#define kvm_get_vcpu_by_id(kvm, id)	kvm_get_vcpu(kvm, id)
#define kvm_for_each_vcpu(i, vcpu, kvm)	\
	for (i = 0; i < VCPUS && (vcpu = smp_load(&(kvm)->vcpus[i])); i++)
#define kvm_vcpu_wake_up(vcpu)		smp_store(&(vcpu)->asleep, 0)

#include "taken.h"

/* The log: who finds it full asks for the work item. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static u32 log_tags[LOG_ENTRIES];
static u32 log_head, log_tail;
static u32 overflows, overflows_handled;
static int owners_done;
static u32 nr_overflows;

static void log_irq(u32 tag, bool full)
{
	u32 head, overflow;

	pthread_mutex_lock(&log_lock);
	if (!full && log_tail - log_head < LOG_ENTRIES) {
		log_tags[log_tail++ % LOG_ENTRIES] = tag;
		head = log_tail;
		pthread_mutex_unlock(&log_lock);
		/* Until the thread has called the notifier. */
		do {
			sched_yield();
			pthread_mutex_lock(&log_lock);
			overflow = log_head;
			pthread_mutex_unlock(&log_lock);
		} while ((int)(overflow - head) < 0);
		return;
	}
	pthread_mutex_unlock(&log_lock);

	overflow = __atomic_add_fetch(&overflows, 1, __ATOMIC_SEQ_CST);
	while ((int)(smp_load(&overflows_handled) - overflow) < 0)
		sched_yield();
}

static void *log_main(void *arg)
{
	u32 random = seeded(OWNERS), tag;
	bool empty;

	while (smp_load(&owners_done) < OWNERS) {
		pthread_mutex_lock(&log_lock);
		empty = log_head == log_tail;
		tag = log_tags[log_head % LOG_ENTRIES];
		pthread_mutex_unlock(&log_lock);

		/* An entry may be older than its VM's death. */
		if (empty)
			tag = AVIC_GATAG(1 + pick(&random, IDS), pick(&random, VCPUS));
		avic_ga_log_notifier(tag);

		pthread_mutex_lock(&log_lock);
		log_head += !empty;
		pthread_mutex_unlock(&log_lock);
		sched_yield();
	}
	return NULL;
}

static void *work_main(void *arg)
{
	struct work_struct work;

	resched_random = seeded(OWNERS + 1);
	while (smp_load(&owners_done) < OWNERS) {
		u32 overflow = smp_load(&overflows);

		if (overflow == smp_load(&overflows_handled)) {
			sched_yield();
			continue;
		}
		avic_ga_log_overflow(&work);
		nr_overflows++;
		smp_store(&overflows_handled, overflow);
	}
	return NULL;
}

static void *owner_main(void *arg)
{
	u32 random = seeded((unsigned long)arg);
	int life, i;

	for (life = 0; life < LIVES; life++) {
		struct kvm_svm *kvm_svm = calloc(1, sizeof(*kvm_svm));
		struct kvm *kvm = &kvm_svm->kvm;

		/* While none is free there is another VM with each; it is not for long. */
		for (i = 0; avic_add_vm_to_ga_log_list(kvm); i++) {
			check(i < 10000, "no_id");
			sched_yield();
		}
		for (i = 0; i < VCPUS; i++)
			smp_store(&kvm->vcpus[i], calloc(1, sizeof(struct kvm_vcpu)));
		WRITE_ONCE(kvm_svm->avic_posted_irqs, true);

		for (i = 0; i < POSTS; i++) {
			u32 idx = pick(&random, VCPUS);

			smp_store(&kvm->vcpus[idx]->asleep, 1);
			log_irq(AVIC_GATAG(kvm_svm->avic_vm_id, idx), !pick(&random, 3));
			check(!smp_load(&kvm->vcpus[idx]->asleep), "lost");
		}

		avic_vm_pre_destroy(kvm);
		for (i = 0; i < VCPUS; i++)
			free(kvm->vcpus[i]);
		free(kvm_svm);
	}
	__atomic_fetch_add(&owners_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[OWNERS + 2];
	unsigned long i;

	seed = argc > 1 ? atoi(argv[1]) : 1;
	for (i = 0; i < OWNERS; i++)
		pthread_create(&threads[i], NULL, owner_main, (void *)i);
	pthread_create(&threads[OWNERS], NULL, log_main, NULL);
	pthread_create(&threads[OWNERS + 1], NULL, work_main, NULL);
	for (i = 0; i < OWNERS + 2; i++)
		pthread_join(threads[i], NULL);

	for (i = 0; i <= IDS; i++)
		check(!svm_vms.entries[i], "left_on_the_list");
	printf("holds: %d VMs, %u overflows handled\n", OWNERS * LIVES, nr_overflows);
	return 0;
}
