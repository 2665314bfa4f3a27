// SPDX-License-Identifier: GPL-2.0
/*
 * An assigned device's IRTE, with real threads: the host moves the IRQ from CPU to CPU, and a
 * vCPU turns AVIC on and off and moves as well.  ci/models/irte.pml is a model of it.
 *
 * take drivers/iommu/amd/amd_iommu_types.h: irte_ga_lo irte_ga_hi irte_ga irq_2_irte amd_ir_data
 * take drivers/iommu/amd/iommu.c: __modify_irte_ga modify_irte_ga irte_ga_set_affinity
 * take drivers/iommu/amd/iommu.c: amd_ir_update_irte __amd_iommu_update_ga amd_iommu_update_ga
 * take drivers/iommu/amd/iommu.c: amd_iommu_activate_guest_mode amd_iommu_deactivate_guest_mode
 *
 * bases from v6.12
 */
#include "kernel.h"

#define MOVES		20000
#define GUEST_VECTOR	0xff	/* the host's are smaller, and say which CPU they are at */
#define VECTORS		0xf0

struct msi_msg {
	int unused;
};

struct irq_cfg {
	u32 dest_apicid;
	u8 vector;
};

struct irq_data {
	int unused;
};

struct amd_iommu;

struct amd_irte_ops {
	void (*set_affinity)(struct amd_iommu *iommu, void *entry, u16 devid, u16 index,
			     u8 vector, u32 dest_apicid);
};

struct amd_iommu {
	const struct amd_irte_ops *irte_ops;
};

struct irq_remap_table {
	raw_spinlock_t lock;
	void *table;
};

static struct irq_remap_table remap_table;
static const int amd_iommu_guest_ir = 1;
static const struct {
	bool dest_mode_logical;
} *apic = &(typeof(*apic)){ false };

#define AMD_IOMMU_GUEST_IR_VAPIC(mode)	(mode)
#define APIC_DELIVERY_MODE_FIXED	0
#define APICID_TO_IRTE_DEST_LO(id)	((id) & 0xffffff)
#define APICID_TO_IRTE_DEST_HI(id)	(((id) >> 24) & 0xff)
#define WARN_ON_ONCE(what)		WARN_ON(what)
#define get_irq_table(iommu, devid)	(&remap_table)
#define iommu_flush_irt_and_complete(iommu, devid)	((void)(devid))

static void table_is_written(u128 irte);

/* Who writes the table has its lock. */
static bool try_cmpxchg128(u128 *irte, const u128 *old, u128 new)
{
	check(*irte == *old, "table_not_locked");
	*irte = new;
	table_is_written(new);
	return true;
}

#include "taken.h"

static struct irte_ga table[1], entry;
static u32 oldest = 1;		/* host's vector that is not freed yet; of the descriptor's lock */
static int host_done;

static void table_is_written(u128 value)
{
	struct irte_ga irte = { .irte = value };
	u32 vector = irte.hi.fields.vector;

	if (irte.lo.fields_vapic.guest_mode) {
		check(vector == GUEST_VECTOR, "wrong_vector");
	} else {
		check(vector != GUEST_VECTOR, "wrong_vector");
		check(vector == irte.lo.fields_remap.destination, "torn");
		check(vector >= smp_load(&oldest), "freed_vector");
	}
}

/* amd_ir_set_affinity(); the vector that the IRQ had before is freed at its end. */
static void *host_main(void *arg)
{
	static struct irq_cfg cfg = { .vector = 1, .dest_apicid = 1 };
	struct amd_ir_data *ir_data = arg;
	struct irte_ga irte;
	int i;

	for (i = 0; i < MOVES; i++) {
		/* Vectors are used again, but not in one go. */
		if (cfg.vector == VECTORS) {
			cfg.vector = 0;
			smp_store(&oldest, 0);
		}
		cfg.vector++;
		cfg.dest_apicid = cfg.vector;
		amd_ir_update_irte(NULL, ir_data->iommu, ir_data, &ir_data->irq_2_irte, &cfg);
		smp_store(&oldest, cfg.vector);

		pthread_mutex_lock(&remap_table.lock);
		irte = table[0];
		pthread_mutex_unlock(&remap_table.lock);
		check(irte.lo.fields_vapic.guest_mode || irte.hi.fields.vector == cfg.vector, "freed_vector");
		if (!(i % 16))
			sched_yield();
	}
	smp_store(&host_done, 1);
	return NULL;
}

/* __kvm_vcpu_update_apicv(), and avic_vcpu_load() */
static void *vcpu_main(void *arg)
{
	u32 random = seeded(1);

	while (!smp_load(&host_done)) {
		amd_iommu_activate_guest_mode(arg, pick(&random, 4) - 1, pick(&random, 2));
		if (pick(&random, 2))
			amd_iommu_update_ga(arg, pick(&random, 4) - 1, pick(&random, 2));
		if (pick(&random, 2))
			sched_yield();
		amd_iommu_deactivate_guest_mode(arg);
		if (pick(&random, 2))
			sched_yield();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct amd_irte_ops ops = { irte_ga_set_affinity };
	static struct amd_iommu iommu = { &ops };
	static struct amd_ir_data ir_data = {
		.iommu = &iommu,
		.entry = &entry,
		.cfg = { .vector = 1, .dest_apicid = 1 },
		.ga_vector = GUEST_VECTOR,
	};
	pthread_t threads[2];

	seed = argc > 1 ? atoi(argv[1]) : 1;
	raw_spin_lock_init(&remap_table.lock);
	raw_spin_lock_init(&ir_data.lock);
	remap_table.table = table;
	entry.lo.fields_remap.destination = entry.hi.fields.vector = 1;
	table[0] = entry;

	pthread_create(&threads[0], NULL, host_main, &ir_data);
	pthread_create(&threads[1], NULL, vcpu_main, &ir_data);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("holds: %d moves of the IRQ\n", MOVES);
	return 0;
}
