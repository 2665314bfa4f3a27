// SPDX-License-Identifier: GPL-2.0-or-later
/* IntCtl 01b: fixed and arbitrated interrupts are forwarded unmapped */
#include "iommu.h"

#define MSI_VECTOR 0x61

void suite_setup(void)
{
	iommu_setup();
}

TEST(interrupt_is_forwarded_unmapped)
{
	set_dte(edu_id, (u64)irt | DTE_INT_PASS | DTE_INT_TAB_LEN(INT_TABLE_LEN) | DTE_IV);
	msi(MSI_VECTOR);
	CHECK("interrupts with the MSI's vector", taken(MSI_VECTOR), 1);
	CHECK("interrupts with vector 0, in the IRR", apic_read(APIC_IRR) & 1, 0);
}
