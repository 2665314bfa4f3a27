# SPDX-License-Identifier: GPL-2.0
#
# Each target calls one script.  `make help` lists them.

SETTINGS = BASE TREE TESTS LANES JOBS SECONDS SEEDS V UPDATE RESET RESOLVE ALL RERUN FULL FROM RUNNER QEMU AVIC_CACHE
SETTINGS += OUT STATIC DEB CLANG
SETTINGS += LEVEL CMD SHARE TOOLS GDB KUT RUNS
SETTINGS += CONFIG HOST VFIO KEXEC SERIAL POWER SSH_CONFIG LEASE_SECONDS BOOT_SECONDS
export $(SETTINGS)

# A command's own $ are not make's.
override CMD := $(value CMD)

help: ## this list
	@sed --quiet 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand --tabs=14
	@echo 'Of scripts/, whose --help has more:' $(notdir $(shell find scripts -maxdepth 1 -type f -executable | sort))
	@echo 'To be set, as in make run BASE=v7.3:' $(SETTINGS:%=%=)

run: setup ## fetch, apply, build, boot; compare the KVM selftests on base and stack
	@scripts/run

report: setup ## build/report/index.html: what the cache has of all bases, on one page
	@scripts/report

shell: setup ## a shell in the machine that the tests run in; CMD='...' runs one command there
	@scripts/shell

bench: setup ## what the stack costs and saves, counted on base and stack, as tables
	@scripts/bench

stick: setup ## a USB stick that runs the selftests on any AMD machine, and touches nothing else there
	@scripts/stick

test: setup ## tests of the scripts on a toy tree, then of the pipeline on v6.12
	@tests/run

test-quick: setup ## the part of make test that needs no kernel, for each commit
	@tests/run --quick

check: setup ## the gates of KVM's maintainers, at each patch level: builds, checkpatch, sparse, Coccinelle
	@scripts/check

allmodconfig: setup ## all that sees what the stack changes, with everything configured; FULL=1 the whole tree
	@scripts/check allmodconfig

mutants: setup ## deliberate faults in AVIC's code, and which test catches each
	@scripts/mutate

models: setup ## every interleaving of the protocols that the stack changes, checked with spin
	@scripts/models

threads: setup ## the stack's own code with real threads, watched by ThreadSanitizer
	@scripts/threads

fuzz: setup ## VMs to which anything may happen in any order, on base and stack; what fails is shrunk
	@scripts/fuzz

inject: setup ## VMs in whose making each allocation fails once, on base and stack, and what they leave behind
	@scripts/inject

avic-status: setup ## build/avic-status: a tool for live hosts, that says whether AVIC is on, and why not
	@scripts/status

deb: setup ## the same as a Debian package
	@scripts/status --deb

fetch: setup ## a clean base as a git tree; prints its folder
	@scripts/fetch

moved: setup ## bases that have a newer version, and newer kernels that Debian has
	@scripts/moved

fit-all: setup ## to which versions of Debian's and kernel.org's each stack applies
	@scripts/fit-all

apply: setup ## the series onto the base, exact; prints the tree's folder
	@scripts/apply

port: setup ## a new base with the nearest stack, as far as it applies; again, to go on behind a conflict
	@scripts/port

refresh: ## branch stack back into patches/
	@scripts/refresh

clean: ## sizes of what the cache holds; removes what no base needs
	@scripts/clean

setup: ## Debian packages; installs as root, else prints the command
	@scripts/setup

.PHONY: help run report shell bench stick test check allmodconfig mutants models threads fuzz inject avic-status deb fetch moved fit-all apply port refresh clean setup test-quick
