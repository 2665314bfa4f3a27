/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The GA Log: arch/x86/kvm/svm/avic.c, drivers/iommu/amd/iommu.c and init.c.
 *
 * VMs come and go, and so reuse IDs and memory. A VM is a process: a vCPU that blocks, then
 * what destroys the VM. Its device posts interrupts. The log has one entry, to overflow soon.
 *
 * NO_<patch> leaves a patch of the stack out, as ci/models/table has it. BREAK_<name> is a
 * fault. The rest is the scenario: how often what happens.
 */
#ifndef VMS
#define VMS 2
#endif
#ifndef LIVES		/* of each VM's memory */
#define LIVES 1
#endif
#ifndef POSTS		/* of each VM's device */
#define POSTS 1
#endif
#ifndef KILLS		/* Is a VM destroyed? */
#define KILLS 1
#endif
#ifndef UNLOADS		/* Is the module unloaded when there is no VM? */
#define UNLOADS 0
#endif

/* What is wrong, for the checker's message. */
mtype = { any, freed_vcpu, unloaded, lost };
#ifndef ONLY		/* what to look for */
#define ONLY any
#endif
#define checked(what) (ONLY == any || ONLY == what)
#define FAIL(what) assert(!checked(what) || is_##what)
hidden byte is_freed_vcpu, is_unloaded, is_lost;

#define NONE 255

byte vms[VMS + 1] = NONE;	/* svm_vms: the VM of each ID, from 1 on */
byte next = 0;			/* next_vm_id */
bit list_lock = 0;
bit alive[VMS];			/* its memory is that of a VM */
bit posted[VMS];		/* avic_posted_irqs */
byte id[VMS];			/* avic_vm_id */
bit device[VMS];		/* has an IRTE that posts */
bit posting[VMS];
bit irr[VMS];
bit wants_entry[VMS];		/* GALogIntr */
bit asleep[VMS];
byte gone = 0;			/* VMs that are and stay destroyed */

chan entries = [1] of { byte };
bit log_runs = 1;		/* the status register of the IOMMU */
bit log_int = 0;
bit log_overflow = 0;

bit notifier = 1;		/* iommu_ga_log_notifier */
bit overflow_notifier = 1;
bit reader = 0;			/* in an RCU read-side critical section */
bit pending = 0;		/* avic_ga_log_overflow_work */
bit working = 0;
bit loaded = 1;			/* the module */

inline lock() { atomic { !list_lock -> list_lock = 1 } }

/* kvm_vcpu_wake_up() */
inline wake_up(vm)
{
	atomic {
		if
		:: !alive[vm] -> FAIL(freed_vcpu)
		:: else -> asleep[vm] = 0
		fi
	}
}

/* The guest's device, and the IOMMU as it posts. */
proctype poster(byte vm)
{
	byte n = POSTS;

	do
	:: atomic { n && device[vm] -> n--; posting[vm] = 1; irr[vm] = 1 };
		atomic {
			if
			:: !wants_entry[vm]
			:: wants_entry[vm] && log_runs && nfull(entries) -> entries!id[vm]; log_int = 1
			:: wants_entry[vm] && log_runs && full(entries) -> log_runs = 0; log_overflow = 1
			:: wants_entry[vm] && !log_runs
			fi;
			posting[vm] = 0
		}
	:: !n -> break
	:: timeout -> break
	od
}

proctype machine(byte vm)
{
	byte lives = LIVES;

	do
	:: lives ->
		lives--;
		/* avic_add_vm_to_ga_log_list() */
		atomic {
			!list_lock -> next = (next % VMS) + 1;
			do
			:: vms[next] != NONE -> next = (next % VMS) + 1
			:: else -> break
			od;
			alive[vm] = 1; id[vm] = next; vms[next] = vm; irr[vm] = 0
		};
		/* avic_pi_update_irte() */
		posted[vm] = 1;
		device[vm] = 1;

		/* kvm_vcpu_block() */
		do
		:: wants_entry[vm] = 1;
			asleep[vm] = 1;
			if
			:: irr[vm] -> asleep[vm] = 0
			:: else
			fi;
			if
			:: !asleep[vm] -> wants_entry[vm] = 0; irr[vm] = 0
			:: KILLS -> break
			:: timeout ->
				if
				:: irr[vm] -> FAIL(lost)
				:: else
				fi;
				goto end
			fi
		:: KILLS -> break
		od;

		/* Resetting the IRTE waits for what is being posted, but not for who reads the log. */
		atomic { asleep[vm] = 0; wants_entry[vm] = 0; device[vm] = 0 };
		!posting[vm];
#ifdef NO_ga_log_pre_destroy
		alive[vm] = 0;
		atomic { !list_lock -> vms[id[vm]] = NONE };
#else
		atomic { !list_lock -> vms[id[vm]] = NONE };
		alive[vm] = 0;
#endif
		posted[vm] = 0
	:: else -> break
	od;
	gone++;
end:
	skip
}

/* avic_ga_log_notifier() */
inline notify(tag)
{
	if
	:: !loaded -> FAIL(unloaded)
	:: else
	fi;
	lock();
	found = vms[tag];
#ifdef NO_ga_log_wake_locked
	list_lock = 0;
#endif
	if
	:: found != NONE -> wake_up(found)
	:: else
	fi;
#ifndef NO_ga_log_wake_locked
	list_lock = 0;
#endif
	if
	:: !loaded -> FAIL(unloaded)
	:: else
	fi
}

/* amd_iommu_handle_irq() for the GA Log */
proctype thread()
{
	bit overflow, set;
	byte tag, found;

end:	do
	:: log_int || log_overflow ->
		overflow = log_overflow;
#ifdef NO_ga_log_status_bits
		atomic { log_int = 0; log_overflow = 0 };
#else
		atomic { log_int = 0; log_overflow = log_overflow && !overflow };
#endif
		do
		:: entries?tag ->
#ifndef NO_ga_log_notifier_rcu
			reader = 1;
#endif
			set = notifier;
			if
			:: set -> notify(tag)
			:: else
			fi;
			reader = 0
		:: empty(entries) -> break
		od;
		if
		:: overflow ->
			/* amd_iommu_restart_log() */
#ifdef BREAK_notified_before_restart
			set = overflow_notifier;
			if
			:: set -> pending = 1
			:: else
			fi;
#endif
			atomic { log_overflow = 0; log_runs = 1 };
#if !defined(NO_ga_log_overflow) && !defined(BREAK_notified_before_restart)
			reader = 1;
			set = overflow_notifier;
			if
			:: set ->
				if
				:: !loaded -> FAIL(unloaded)
				:: else
				fi;
				pending = 1
			:: else
			fi;
			reader = 0
#endif
		:: else
		fi
	od
}

/* avic_ga_log_overflow() */
proctype worker()
{
	byte i, vm, vcpu;

end:	do
	:: atomic { pending -> pending = 0; working = 1; i = 1 };
		if
		:: !loaded -> FAIL(unloaded)
		:: else
		fi;
		lock();
		do
		:: i > VMS -> break
		:: else ->
			vm = vms[i];
			if
			:: vm != NONE && posted[vm] ->
				/* Two vCPUs, though the second one is never asleep. */
				vcpu = 0;
				do
				:: vcpu == 2 -> break
				:: else ->
					wake_up(vm);
					if
					:: true
					:: list_lock = 0;
						lock();
						if
#ifdef BREAK_vm_not_looked_up_again
						:: false
#else
						:: vms[i] != vm -> break
#endif
						:: else
						fi
					fi;
					vcpu++
				od
			:: else
			fi;
			i++
		od;
		list_lock = 0;
		if
		:: !loaded -> FAIL(unloaded)
		:: else
		fi;
		working = 0
	od
}

/* avic_hardware_unsetup() */
proctype unload()
{
	gone == VMS ->
#ifndef NO_ga_log_unregister
	notifier = 0;
	!reader;
#endif
#ifndef NO_ga_log_overflow
	overflow_notifier = 0;
	!reader;
#ifndef BREAK_work_not_flushed
	!pending && !working;
#endif
#endif
	loaded = 0
}

init {
	byte i;

	atomic {
		do
		:: i < VMS -> run machine(i); run poster(i); i++
		:: else -> break
		od;
		run thread();
		run worker();
#if UNLOADS
		run unload()
#endif
	}
}
