// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * IPIs in xAVIC mode (APM 15.29.6.1, 15.29.9.1): who gets one, and when and how
 * the sender exits. The targets do not run: that is for smp.c.
 */
#include "lib.h"

#define VECTOR 0xa5

static u32 icrl, icrh;

static void guest_ipi(u64 arg)
{
	(void)arg;
	apic_write(APIC_ICR2, icrh);
	apic_write(APIC_ICR, icrl);
}

/* Every target is marked as running on a processor that is in host mode */
static void all_running(void)
{
	for (unsigned i = 0; i < NR_VCPUS; i++)
		physical_table[i] |= BIT(62) | 3;
}

static void init_targets(void)
{
	for (unsigned i = 1; i < NR_VCPUS; i++)
		vcpu_init(i, vmmcall_only, 0);
}

/* The vCPUs that have the vector in their IRR, as a bit map */
static u64 received(void)
{
	u64 map = 0;

	for (unsigned i = 0; i < NR_VCPUS; i++)
		if (vector_get(&vcpus[i], APIC_IRR, VECTOR))
			map |= BIT(i);
	return map;
}

static struct vcpu *send(u32 low, u32 dest)
{
	struct vcpu *v = vcpu_init(0, guest_ipi, 0);

	init_targets();
	icrl = low;
	icrh = dest << 24;
	run(v);
	return v;
}

static u64 info1(void)
{
	return (u64)icrh << 32 | icrl;
}

static u64 info2(u64 reason, u64 index)
{
	return reason << 32 | index;
}

#define CHECK_SENT(sent, map) do { \
	struct vcpu *v__ = (sent); \
	CHECK_EXIT(v__, EXIT_VMMCALL, 0, 0); \
	CHECK("targets", received(), map); \
} while (0)

#define CHECK_FAILED(sent, reason, index, map) do { \
	struct vcpu *v__ = (sent); \
	CHECK_EXIT(v__, EXIT_INCOMPLETE_IPI, info1(), info2(reason, index)); \
	CHECK("RIP", get64(v__, V_RIP), ins_write_done); \
	CHECK("ICR", apic_get(v__, APIC_ICR), icrl); \
	CHECK("targets", received(), map); \
} while (0)

TEST(self_shorthand)
{
	struct vcpu *v = send(ICR_SELF | VECTOR, 0);

	CHECK_SENT(v, BIT(0));
	/* nor are the tables looked at */
	physical_table[0] = 0;
	v = send(ICR_SELF | VECTOR, 0);
	CHECK_SENT(v, BIT(0));
}

static void guest_self_ipis(u64 n)
{
	sti();
	for (u64 i = 0; i < n; i++)
		apic_write(APIC_ICR, ICR_SELF | VECTOR);
}

TEST(self_ipi_is_delivered_at_once)
{
	struct vcpu *v = vcpu_init(0, guest_self_ipis, 50);

	v->eoi = true;
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 50);
}

TEST(physical_destination)
{
	all_running();
	for (unsigned i = 0; i < NR_VCPUS; i++)
		CHECK_SENT(send(VECTOR, i), BIT(i));
}

TEST(assert_bit_changes_nothing)
{
	all_running();
	CHECK_SENT(send(ICR_ASSERT | VECTOR, 2), BIT(2));
}

/* As real processors do, whatever the manual says of the bit */
TEST(delivery_status_stays_as_written)
{
	struct vcpu *v;

	all_running();
	v = send(ICR_BUSY | VECTOR, 2);
	CHECK_SENT(v, BIT(2));
	CHECK("ICR", apic_get(v, APIC_ICR), ICR_BUSY | VECTOR);
	v = send(ICR_BUSY | VECTOR, NR_VCPUS);
	CHECK_FAILED(v, IPI_TARGET, NR_VCPUS, 0);
}

TEST(tmr_is_not_touched)
{
	all_running();
	vcpu_init(0, guest_ipi, 0);
	init_targets();
	vector_set(&vcpus[2], APIC_TMR, VECTOR);
	icrl = VECTOR;
	icrh = 2 << 24;
	CHECK("exit", run(&vcpus[0]), EXIT_VMMCALL);
	CHECK("TMR", vector_get(&vcpus[2], APIC_TMR, VECTOR), 1);
}

/* Physical destinations that fail */

TEST(target_not_running)
{
	struct vcpu *v = send(VECTOR, 5);

	CHECK_FAILED(v, IPI_NOT_RUNNING, 5, BIT(5));
	CHECK("resumed behind it", run(v), EXIT_VMMCALL);
}

TEST(target_not_valid)
{
	all_running();
	physical_table[5] &= ~BIT(63);
	CHECK_FAILED(send(VECTOR, 5), IPI_TARGET, 5, 0);
}

TEST(target_beyond_max_index)
{
	struct vcpu *v;

	all_running();
	CHECK_FAILED(send(VECTOR, 8), IPI_TARGET, 8, 0);

	/* the table has the entry, but the guest must not reach it */
	v = vcpu_init(0, guest_ipi, 0);
	init_targets();
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 4);
	icrl = VECTOR;
	icrh = 5 << 24;
	run(v);
	CHECK_FAILED(v, IPI_TARGET, 5, 0);
}

TEST(invalid_backing_page)
{
	all_running();
	physical_table[5] = BIT(63) | BIT(62) | BIT(50);
	CHECK_FAILED(send(VECTOR, 5), IPI_PAGE, 5, 0);
}

TEST(every_other_message_type)
{
	all_running();
	for (unsigned mode = 1; mode < 8; mode++)
		CHECK_FAILED(send(ICR_MODE(mode) | VECTOR, 2), IPI_TYPE, 0, 0);
}

TEST(level_triggered)
{
	all_running();
	CHECK_FAILED(send(ICR_LEVEL | ICR_ASSERT | VECTOR, 2), IPI_TYPE, 0, 0);
	CHECK_FAILED(send(ICR_LEVEL | ICR_SELF | VECTOR, 2), IPI_TYPE, 0, 0);
}

TEST(vector_below_16)
{
	all_running();
	for (unsigned vector = 0; vector < 16; vector++) {
		CHECK_FAILED(send(vector, 2), IPI_VECTOR, 0, 0);
		CHECK_FAILED(send(ICR_SELF | vector, 2), IPI_VECTOR, 0, 0);
	}
	CHECK("no IRR bit", apic_get(&vcpus[2], APIC_IRR), 0);
	CHECK_EXIT(send(16, 2), EXIT_VMMCALL, 0, 0);
	CHECK("vector 16", apic_get(&vcpus[2], APIC_IRR), BIT(16));
}

/* Broadcasts */

TEST(all_including_self)
{
	all_running();
	CHECK_SENT(send(ICR_ALL | VECTOR, 0), 0xff);
}

TEST(all_but_self)
{
	all_running();
	CHECK_SENT(send(ICR_OTHERS | VECTOR, 0), 0xfe);
}

TEST(destination_ff)
{
	all_running();
	CHECK_SENT(send(VECTOR, 0xff), 0xff);
	CHECK_SENT(send(ICR_LOGICAL | VECTOR, 0xff), 0xff);
}

TEST(broadcast_skips_invalid_entries)
{
	all_running();
	physical_table[3] &= ~BIT(63);
	physical_table[6] = 0;
	CHECK_SENT(send(ICR_ALL | VECTOR, 0), 0xff & ~(BIT(3) | BIT(6)));
	CHECK_SENT(send(VECTOR, 0xff), 0xff & ~(BIT(3) | BIT(6)));
}

TEST(broadcast_stops_at_max_index)
{
	struct vcpu *v;

	all_running();
	v = vcpu_init(0, guest_ipi, 0);
	init_targets();
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 2);
	icrl = ICR_ALL | VECTOR;
	run(v);
	CHECK_SENT(v, 0x07);
}

/* Entry 255 is the broadcast ID and never a target */
TEST(entry_255_is_reserved)
{
	struct vcpu *v;

	all_running();
	physical_table[255] = physical_table[7];
	physical_table[7] = 0;
	v = vcpu_init(0, guest_ipi, 0);
	init_targets();
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 255);
	icrl = ICR_ALL | VECTOR;
	run(v);
	CHECK_SENT(v, 0x7f);
}

TEST(broadcast_with_some_not_running)
{
	all_running();
	physical_table[4] &= ~BIT(62);
	physical_table[6] &= ~BIT(62);
	CHECK_FAILED(send(ICR_OTHERS | VECTOR, 0), IPI_NOT_RUNNING, 4, 0xfe);
}

TEST(broadcast_with_invalid_page)
{
	all_running();
	physical_table[4] = BIT(63) | BIT(62) | BIT(50);
	CHECK_FAILED(send(ICR_ALL | VECTOR, 0), IPI_PAGE, 4, 0xff & ~BIT(4));
}

/* Logical destinations, flat: entry n of the table is bit n */

TEST(flat_one_target)
{
	all_running();
	for (unsigned i = 0; i < NR_VCPUS; i++)
		CHECK_SENT(send(ICR_LOGICAL | VECTOR, 1 << i), BIT(i));
}

TEST(flat_many_targets)
{
	all_running();
	CHECK_SENT(send(ICR_LOGICAL | VECTOR, 0x5a), 0x5a);
}

TEST(flat_no_target)
{
	all_running();
	CHECK_SENT(send(ICR_LOGICAL | VECTOR, 0), 0);
}

TEST(flat_entry_names_the_target)
{
	all_running();
	logical_table[1] = BIT(31) | 6;
	CHECK_SENT(send(ICR_LOGICAL | VECTOR, 2), BIT(6));
}

/* The logical index is reported; nobody gets anything */
TEST(flat_invalid_entry)
{
	all_running();
	logical_table[3] = 3;
	CHECK_FAILED(send(ICR_LOGICAL | VECTOR, 0x0e), IPI_TARGET, 3, 0);
}

TEST(flat_entry_beyond_max_index)
{
	all_running();
	logical_table[3] = BIT(31) | 200;
	CHECK_FAILED(send(ICR_LOGICAL | VECTOR, 0x0e), IPI_TARGET, 3, 0);
	logical_table[3] = BIT(31) | 256;
	CHECK_FAILED(send(ICR_LOGICAL | VECTOR, 0x0e), IPI_TARGET, 3, 0);
}

TEST(flat_physical_entry_not_valid)
{
	all_running();
	logical_table[3] = BIT(31) | 6;
	physical_table[6] &= ~BIT(63);
	CHECK_FAILED(send(ICR_LOGICAL | VECTOR, 0x0e), IPI_TARGET, 3, 0);
}

TEST(flat_not_running)
{
	all_running();
	logical_table[3] = BIT(31) | 6;
	physical_table[6] &= ~BIT(62);
	CHECK_FAILED(send(ICR_LOGICAL | VECTOR, 0x0e), IPI_NOT_RUNNING, 3,
		     BIT(1) | BIT(2) | BIT(6));
}

TEST(flat_invalid_page)
{
	all_running();
	logical_table[3] = BIT(31) | 6;
	physical_table[6] = BIT(63) | BIT(62) | BIT(50);
	CHECK_FAILED(send(ICR_LOGICAL | VECTOR, 0x0e), IPI_PAGE, 3, 0);
}

/* Logical destinations, cluster: entry 4 * cluster + n */

static struct vcpu *send_cluster(u32 dest)
{
	struct vcpu *v = vcpu_init(0, guest_ipi, 0);

	init_targets();
	apic_set(v, APIC_DFR, 0x0fffffff);
	for (unsigned i = 0; i < NR_VCPUS; i++)
		logical_table[i] = 0;
	logical_table[4 * 2 + 1] = BIT(31) | 5;
	logical_table[4 * 2 + 3] = BIT(31) | 7;
	logical_table[4 * 14 + 3] = BIT(31) | 1;
	icrl = ICR_LOGICAL | VECTOR;
	icrh = dest << 24;
	run(v);
	return v;
}

TEST(cluster)
{
	all_running();
	CHECK_SENT(send_cluster(0x22), BIT(5));
	CHECK_SENT(send_cluster(0x2a), BIT(5) | BIT(7));
	CHECK_SENT(send_cluster(0xe8), BIT(1));
	CHECK_SENT(send_cluster(0x20), 0);
	CHECK_SENT(send_cluster(0xff), 0xff);
}

TEST(cluster_invalid_target)
{
	all_running();
	CHECK_FAILED(send_cluster(0x23), IPI_TARGET, 8, 0);
	CHECK_FAILED(send_cluster(0xf1), IPI_TARGET, 60, 0);
}

TEST(cluster_not_running)
{
	all_running();
	physical_table[7] &= ~BIT(62);
	CHECK_FAILED(send_cluster(0x2a), IPI_NOT_RUNNING, 11, BIT(5) | BIT(7));
}

/* What is not written: the high half alone sends nothing */
static void guest_icr2(u64 arg)
{
	apic_write(APIC_ICR2, arg);
}

TEST(icr_high_sends_nothing)
{
	struct vcpu *v = vcpu_init(0, guest_icr2, 2 << 24);

	init_targets();
	apic_set(v, APIC_ICR, VECTOR);
	run(v);
	CHECK_SENT(v, 0);
	CHECK("ICR high", apic_get(v, APIC_ICR2), 2 << 24);
}
