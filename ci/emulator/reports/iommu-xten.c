// SPDX-License-Identifier: GPL-2.0-or-later
/* XTEn, not XTSup, makes destinations of remapped interrupts have 32 bits */
#include "iommu.h"

#define MSI_VECTOR 0x61
#define LAST_VECTOR 0x62

void suite_setup(void)
{
	iommu_setup();
}

/* What comes behind shows that processor 3 has taken all there is to take */
static void check(const char *what, u32 id, bool hits)
{
	unsigned before = host_irqs[MSI_VECTOR], last = host_irqs[LAST_VECTOR];

	write_irte(INDEX, IRTE_REMAP_EN | IRTE_DEST(id & 0xffffff), IRTE_HI_DEST(id) | MSI_VECTOR);
	msi(INDEX);
	write_irte(INDEX, IRTE_REMAP_EN | IRTE_DEST(3), LAST_VECTOR);
	msi(INDEX);
	CHECK("the one to 3", WAIT(host_irqs[LAST_VECTOR] == last + 1), 1);
	CHECK(what, host_irqs[MSI_VECTOR], before + hits);
}

TEST(destination_has_8_bits_without_xten)
{
	CHECK("XTSup", !!(iommu_read(MMIO_EFR) & EFR_XT), 1);
	CHECK("XTEn", !!(iommu_read(MMIO_CONTROL) & CTRL_XT_EN), 0);
	start_x2apic();
	check("interrupts to 0x103 without XTEn", 0x103, true);
	check("interrupts to 0x1000003 without XTEn", 0x1000003, true);
	control(0, CTRL_XT_EN);
	check("interrupts to 0x103 with XTEn", 0x103, false);
	check("interrupts to 0x1000003 with XTEn", 0x1000003, false);
	stop_x2apic();
}
