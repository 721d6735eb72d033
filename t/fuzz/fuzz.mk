# Long fuzzing, called by "make fuzz" (libFuzzer) and "make fuzz-afl" (AFL++): the
# objects are compiled with other instrumentation than the module's, into folders
# of their own. One source serves both: AFL++'s compiler brings a main of its own
# for libFuzzer's entry points, and then runs many inputs in one process.

FLAGS = -std=gnu11 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined -pthread
OUT = fuzz.build
# Programs that are not to be stopped by what a machine is set to, nor draw a screen.
AFL_ENVIRONMENT = AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1 \
	AFL_SKIP_BIN_CHECK=1 ASAN_OPTIONS=abort_on_error=1:symbolize=0:detect_leaks=0
AFL_FUZZ = afl-fuzz
objects = $(patsubst %.c,$(OUT)/%.o,$(filter %.c,$(SOURCES)))
programs = $(addprefix $(OUT)/,$(TARGETS))

.SECONDARY:
.PHONY: run run-afl
run: $(programs)
	@test -n '$(TARGETS)' || { echo 'no fuzz targets yet' >&2; exit 1; }
	@for target in $(TARGETS); do \
	  name=$${target##*/}; short=$${name#fuzz_}; \
	  mkdir -p $(OUT)/found/$$short $(OUT)/crashes; \
	  seeds=; dict=; \
	  for d in $(SRCDIR)/t/fuzz/corpus/$$short $(SRCDIR)/t/fuzz/corpus/$$name; do \
	    if test -d $$d; then seeds="$$seeds $$d"; fi; done; \
	  if test -f $(SRCDIR)/t/fuzz/$$short.dict; then dict=-dict=$(SRCDIR)/t/fuzz/$$short.dict; fi; \
	  echo "== $$name: $(FUZZ_SECONDS) seconds"; \
	  $(OUT)/$$target -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 -print_final_stats=1 \
	    -artifact_prefix=$(OUT)/crashes/$$short- $$dict $(OUT)/found/$$short $$seeds || exit 1; \
	done

# afl-fuzz ends well whatever it found; what it did is in its own words.
run-afl: $(programs)
	@for target in $(TARGETS); do \
	  name=$${target##*/}; short=$${name#fuzz_}; \
	  rm -rf $(OUT)/in/$$short $(OUT)/out/$$short; mkdir -p $(OUT)/in/$$short $(OUT)/out; \
	  echo x > $(OUT)/in/$$short/x; \
	  for d in $(SRCDIR)/t/fuzz/corpus/$$short $(SRCDIR)/t/fuzz/corpus/$$name; do \
	    if test -d $$d; then cp -R $$d/. $(OUT)/in/$$short; fi; done; \
	  dict=; \
	  if test -f $(SRCDIR)/t/fuzz/$$short.dict; then dict="-x $(SRCDIR)/t/fuzz/$$short.dict"; fi; \
	  echo "== $$name: $(FUZZ_SECONDS) seconds"; \
	  env $(AFL_ENVIRONMENT) $(AFL_FUZZ) -V $(FUZZ_SECONDS) -t 10000 -m none $$dict -i $(OUT)/in/$$short \
	    -o $(OUT)/out/$$short -- $(OUT)/$$target > $(OUT)/out/$$short.log 2>&1 || { \
	      tail -20 $(OUT)/out/$$short.log >&2; exit 1; }; \
	  grep -E '^(execs_done|edges_found|total_edges|saved_crashes|saved_hangs)' \
	    $(OUT)/out/$$short/default/fuzzer_stats; \
	  if ls $(OUT)/out/$$short/default/crashes $(OUT)/out/$$short/default/hangs | grep '^id' >&2; then \
	    exit 1; fi; \
	done

$(OUT)/src/%.o: $(SRCDIR)/src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FLAGS) -fsanitize=fuzzer-no-link $(CPPFLAGS) -MMD -c -o $@ $<

$(OUT)/t/fuzz/%.o: $(SRCDIR)/t/fuzz/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FLAGS) -fsanitize=fuzzer-no-link $(CPPFLAGS) -MMD -c -o $@ $<

$(programs): $(OUT)/t/fuzz/%: $(OUT)/t/fuzz/%.o $(objects)
	$(FUZZ_CC) $(FLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

-include $(objects:.o=.d) $(addsuffix .d,$(programs))
