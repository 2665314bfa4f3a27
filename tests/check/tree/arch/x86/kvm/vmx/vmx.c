// SPDX-License-Identifier: GPL-2.0
#include "x86.h"

#define EXPORT_SYMBOL(symbol) extern typeof(symbol) symbol

int vmx_mode(struct vcpu *vcpu);

int vmx_mode(struct vcpu *vcpu)
{
	return kvm_mode(vcpu);
}
EXPORT_SYMBOL(vmx_mode);
