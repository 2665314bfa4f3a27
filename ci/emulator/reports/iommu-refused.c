// SPDX-License-Identifier: GPL-2.0-or-later
/* IO_PAGE_FAULT with I=1: what an interrupt leaves that the IOMMU refuses */
#include "iommu.h"

#define MSI_VECTOR 0x61
#define DOMAIN 0x1234

void suite_setup(void)
{
	iommu_setup();
	devtab[edu_id][1] = DOMAIN;
	command(CMD_INVALIDATE_DEVTAB, edu_id, 0);
	control(0, CTRL_EVENT_LOG_EN);
}

static void check(u64 flags)
{
	CHECK("interrupts", taken(MSI_VECTOR), 0);
	CHECK("event", events[0], (u64)EVENT_PAGE_FAULT << 60 | EVENT_INTERRUPT | flags |
				  EVENT_DOMAIN(DOMAIN) | edu_id);
	CHECK("address", events[1], APIC_BASE);
}

TEST(entry_without_remap_en)
{
	msi(INDEX);
	check(0);
}

TEST(entry_of_a_reserved_type)
{
	write_irte(INDEX, IRTE_REMAP_EN | IRTE_TYPE(7), MSI_VECTOR);
	msi(INDEX);
	check(EVENT_PRESENT | EVENT_RESERVED);
}

TEST(int_ctl_aborts)
{
	set_dte(edu_id, devtab[edu_id][2] & ~DTE_INT_REMAP);
	msi(INDEX);
	check(EVENT_PRESENT | EVENT_PERMISSION);
}
