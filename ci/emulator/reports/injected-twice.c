// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hypervisor injects one interrupt with each VMRUN. Meanwhile another processor
 * moves a device, which makes QEMU interrupt all of its threads. The guest has
 * to take each interrupt once.
 */
#include "iommu.h"

#define MSI_VECTOR 0x41
#define ROUNDS 200000

TEST(event_is_injected_once)
{
	u32 i;

	find_edu();
	start_on(1, move_edu, NULL);
	while (moves < 10)
		pause();
	for (i = 0; i < ROUNDS; i++) {
		struct vcpu *v = vcpu_init(0, vmmcall_only, 0);

		set64(v, V_RFLAGS, 0x202);
		set64(v, V_EVENT_INJ, EVENT_VALID | MSI_VECTOR);
		if (run(v) != EXIT_VMMCALL || v->nr_irqs != 1) {
			note("VMRUN %d", i);
			CHECK("exit", get64(v, V_EXIT_CODE), EXIT_VMMCALL);
			CHECK("interrupts", v->nr_irqs, 1);
			break;
		}
	}
	stop = true;
	wait_for(1);
}
