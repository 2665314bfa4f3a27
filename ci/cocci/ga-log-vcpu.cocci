// SPDX-License-Identifier: GPL-2.0
/// A vCPU found through the GA Log list may be freed once the list's lock is dropped.
virtual report

@late exists@
position q;
expression vcpu, vm, id;
identifier f;
@@

vcpu = \(kvm_get_vcpu_by_id\|kvm_get_vcpu\)(vm, id);
...
spin_unlock_irqrestore(&svm_vm_data_hash_lock, ...);
... when != vcpu = \(kvm_get_vcpu_by_id\|kvm_get_vcpu\)(...)
f@q(..., vcpu, ...)

@script:python depends on report@
q << late.q;
f << late.f;
@@

coccilib.report.print_report(q[0], "WARNING: %s() gets a vCPU that svm_vm_data_hash_lock protects no longer" % f)
