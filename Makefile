# SPDX-License-Identifier: MIT
# The front door. Each verb first sees to what it needs; the second run is quick.

BUILD   ?= build
KERNEL  ?= 6.12-amd64
JOBS    ?= $(shell nproc)
export V
PREFIX  ?= /usr/local

Q       := @
kver    := $(BUILD)/kernel/$(KERNEL)

all: userspace ## build the library, the tool, the emulated NPU and the tests

help: ## say what can be made
	$(Q)sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	$(Q)echo
	$(Q)echo "  BUILD=dir KERNEL=$(KERNEL) JOBS=n PREFIX=$(PREFIX) KDIR=headers V=1 HEARTH_MODELS=dir"

packages:
	$(Q)scripts/setup --packages-only

setup: ## install packages, fetch QEMU and the guest's kernel into the cache
	$(Q)scripts/setup qemu $(KERNEL)

$(BUILD)/build.ninja:
	$(Q)scripts/step "configure $(BUILD)" meson setup $(BUILD) --prefix=$(PREFIX)

# In a make of its own: before "packages" there may be no compiler to configure.
userspace: packages
	$(Q)$(MAKE) --no-print-directory -s $(BUILD)/build.ninja
	$(Q)scripts/step "library, tool, emulated NPU, tests" ninja -C $(BUILD) -j$(JOBS)

ifdef KDIR
modules: packages
	$(Q)scripts/step "hearth.ko for $(KDIR)" scripts/build-modules $(KDIR) $(BUILD)/kernel/kdir -j$(JOBS)
else
modules: setup ## build hearth.ko against the guest's kernel, or against KDIR=headers
	$(Q)scripts/step "hearth.ko for Linux $(KERNEL)" scripts/build-modules \
		"$$(scripts/testbed.py --get $(KERNEL) headers)" $(kver) -j$(JOBS)
endif

demo: setup userspace modules ## a phone in QEMU runs two models on the NPU, then on the CPU
	$(Q)scripts/demo --build $(BUILD) --kernel $(KERNEL)

check: setup ## every suite; ends with "N passed, N failed, N skipped"
	$(Q)tests/run --build $(BUILD) --kernel $(KERNEL) --jobs $(JOBS)

shell: setup userspace modules ## a shell in the guest, with the NPU and the tests
	$(Q)tests/qemu/vm --build $(BUILD) --kernel $(KERNEL) --shell

bench: setup userspace modules ## measure kernels, inferences and submits
	$(Q)scripts/bench --build $(BUILD) --kernel $(KERNEL)

bench-cpu: packages userspace ## measure the CPU kernels against llama.cpp (long; BENCH_CPU=options)
	$(Q)scripts/bench-cpu --build $(BUILD) $(BENCH_CPU)

bench-phone: userspace modules ## a phone with a resident 7B model under pressure (long; BENCH_PHONE=options)
	$(Q)scripts/setup --also gnuplot-nox qemu $(KERNEL)
	$(Q)scripts/bench-phone --build $(BUILD) --kernel $(KERNEL) $(BENCH_PHONE)

test-kernels: packages ## build the kernels that Debian has not into the cache (long)
	$(Q)scripts/build-kernel debug -j$(JOBS)
	$(Q)scripts/build-kernel dmem -j$(JOBS)

install: userspace ## install library, tool and headers under PREFIX (DESTDIR is kept)
	$(Q)meson configure $(BUILD) --prefix=$(PREFIX)
	$(Q)ninja -C $(BUILD) -j$(JOBS) --quiet
	$(Q)meson install -C $(BUILD) --no-rebuild --quiet

clean: ## remove what was built; the cache stays
	$(Q)rm -rf $(BUILD) $(BUILD)-arm64 $(BUILD)-asan $(BUILD)-tsan

.PHONY: all help packages setup userspace modules demo check shell bench bench-cpu bench-phone test-kernels install clean
