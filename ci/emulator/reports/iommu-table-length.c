// SPDX-License-Identifier: GPL-2.0-or-later
/* IntTabLen: the table has 2^7 entries, what follows in memory is not one */
#include "iommu.h"

#define MSI_VECTOR 0x61

void suite_setup(void)
{
	iommu_setup();
}

TEST(entry_beyond_the_table_is_not_used)
{
	write_irte(127, IRTE_REMAP_EN, MSI_VECTOR);
	write_irte(128, IRTE_REMAP_EN, MSI_VECTOR);
	msi(127);
	CHECK("interrupts by the last entry", taken(MSI_VECTOR), 1);
	msi(128);
	CHECK("after one by an entry beyond the table", taken(MSI_VECTOR), 1);
}
