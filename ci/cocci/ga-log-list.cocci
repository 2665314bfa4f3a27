// SPDX-License-Identifier: GPL-2.0
/// The list that the GA Log notifier searches changes only under its lock.
virtual report

@locked exists@
position p;
@@

(
spin_lock_irqsave(&svm_vm_data_hash_lock, ...);
|
guard(spinlock_irqsave)(&svm_vm_data_hash_lock);
)
... when != spin_unlock_irqrestore(&svm_vm_data_hash_lock, ...);
(
hash_del@p(...);
|
hash_add@p(...);
)

@bare@
position p != locked.p;
expression E;
@@

(
hash_del@p(&E->hnode)
|
hash_add@p(svm_vm_data_hash, ...)
)

@script:python depends on report@
p << bare.p;
@@

coccilib.report.print_report(p[0], "WARNING: the GA Log list changes without svm_vm_data_hash_lock")
