// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A register stays where it is while another processor moves a device: what a
 * TLB entry is for must not be looked up in a memory map that it is not from.
 */
#include "iommu.h"

#define IOAPIC 0xfec00000UL
#define IOAPIC_INDEX 0x00
#define IOAPIC_DATA 0x10
#define IOAPIC_VERSION 1
#define MOVES 5000

/* Edu's registers are below the I/O APIC's, which so have another place in the map. */

TEST(register_is_read_while_the_map_changes)
{
	unsigned wrong = 0;
	u32 version;

	iommu_setup();
	write32(IOAPIC + IOAPIC_INDEX, IOAPIC_VERSION);
	version = read32(IOAPIC + IOAPIC_DATA);
	CHECK("version", version & 0xff, 0x20);

	stop = false;
	start_on(1, move_edu, NULL);
	while (moves < MOVES)
		wrong += read32(IOAPIC + IOAPIC_DATA) != version;
	stop = true;
	wait_for(1);
	CHECK("wrong reads", wrong, 0);
}
