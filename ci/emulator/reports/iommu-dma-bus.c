// SPDX-License-Identifier: GPL-2.0-or-later
/* DMA of a device on bus 1: whose device table entry is used? */
#include "iommu.h"

void suite_setup(void)
{
	iommu_setup();
}

/* DMA from behind a root port */
static void enable_root_port(void)
{
	for (u16 id = 0; id < 256; id += 8)
		if (pci_read(id, 8) >> 16 == 0x0604)
			pci_write(id, PCI_COMMAND, PCI_MEMORY | PCI_MASTER);
}

/* A root port's secondary bus is bus 1. Pages of one DTE each; entry 5 has the data */
static u64 tables[2][512] PAGE_ALIGNED;
static volatile u32 data[2][PAGE / 4] PAGE_ALIGNED;

TEST(dma_uses_the_entry_of_its_bus)
{
	const u64 rw = ENTRY_READ | ENTRY_WRITE;
	const u16 ids[] = { edu_id & 0xff, edu_id };

	CHECK("bus of the device", edu_id >> 8, 1);
	enable_root_port();
	for (unsigned i = 0; i < 2; i++) {
		tables[i][5] = (u64)data[i] | rw | ENTRY_PRESENT;
		devtab[ids[i]][0] = (u64)tables[i] | rw | ENTRY_LEVEL(1) | DTE_TV | ENTRY_PRESENT;
	}
	command(CMD_INVALIDATE_ALL, 0, 0);
	data[0][0] = 0xbad;
	data[1][0] = 0x600d;
	/* Into the device by its translation, out of it to memory that is not translated twice */
	edu_read(5 * PAGE);
	data[0][0] = data[1][0] = 0;
	edu_write(5 * PAGE);
	CHECK("data came by the DTE of 01:00.0", data[1][0], 0x600d);
	CHECK("data came by the DTE of 00:00.0", data[0][0], 0);
}
