// SPDX-License-Identifier: GPL-2.0-or-later
/* x2AVIC with 4096 APIC IDs: a physical table of up to eight pages */
#include "lib.h"

#define VECTOR 0xa5
#define ICR 0x830

static u64 table[4096] __attribute__((aligned(PAGE)));
static u64 value;

static void guest_send(u64 arg)
{
	(void)arg;
	write_msr(ICR, value);
}

static struct vcpu *sender(u32 max_index)
{
	struct vcpu *v = vcpu_init(0, guest_send, 0);

	set_x2avic(v);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		table[i] = 0;
	table[0] = physical_table[0] | BIT(62);
	vcpu_init(7, vmmcall_only, 0);
	set64(v, V_PHYSICAL_TABLE, (u64)table | max_index);
	return v;
}

static unsigned received(void)
{
	return vector_get(&vcpus[7], APIC_IRR, VECTOR);
}

TEST(feature)
{
	u32 r[4];

	cpuid(0x8000000a, r);
	CHECK("ECX", r[2], BIT(6));
}

TEST(ids_in_every_page)
{
	static const unsigned ids[] = { 7, 511, 512, 1023, 1024, 2047, 3584, 4095 };

	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		struct vcpu *v = sender(4095);

		table[ids[i]] = physical_table[7] | BIT(62);
		value = (u64)ids[i] << 32 | VECTOR;
		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("physical", received(), 1);

		v = sender(4095);
		table[ids[i]] = physical_table[7] | BIT(62);
		value = (u64)((ids[i] >> 4) << 16 | BIT(ids[i] & 15)) << 32 |
			ICR_LOGICAL | VECTOR;
		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("logical", received(), 1);

		v = sender(4095);
		table[ids[i]] = physical_table[7] | BIT(62);
		value = ICR_OTHERS | VECTOR;
		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("broadcast", received(), 1);

		v = sender(4095);
		table[ids[i]] = physical_table[7];
		value = (u64)ids[i] << 32 | VECTOR;
		run(v);
		CHECK_EXIT(v, EXIT_INCOMPLETE_IPI, value, (u64)IPI_NOT_RUNNING << 32 | ids[i]);
	}
}

TEST(max_index_bounds_them)
{
	struct vcpu *v = sender(1500);

	table[1500] = table[1501] = physical_table[7] | BIT(62);
	value = 1501ULL << 32 | VECTOR;
	run(v);
	CHECK_EXIT(v, EXIT_INCOMPLETE_IPI, value, (u64)IPI_TARGET << 32 | 1501);
	CHECK("beyond", received(), 0);
	v = sender(1500);
	table[1500] = physical_table[7] | BIT(62);
	value = 1500ULL << 32 | VECTOR;
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("last", received(), 1);
}

/* All pages have to be there, and only as many as the index says */
TEST(table_at_the_end_of_memory)
{
	const u64 end = 256ULL << 20;
	struct vcpu *v = sender(0);

	value = 0;
	set64(v, V_PHYSICAL_TABLE, (end - 2 * PAGE) | 1023);
	set64(v, V_RIP, (u64)vmmcall_only);
	CHECK("two pages", run(v), EXIT_VMMCALL);
	set64(v, V_PHYSICAL_TABLE, (end - 2 * PAGE) | 1024);
	set64(v, V_RIP, (u64)vmmcall_only);
	CHECK("three pages", run(v), EXIT_INVALID);
}

TEST(xavic_has_255)
{
	struct vcpu *v = vcpu_init(0, vmmcall_only, 0);

	set64(v, V_PHYSICAL_TABLE, (u64)table | 256);
	CHECK("exit", run(v), EXIT_INVALID);
}
