# Warnings are errors everywhere; the presets choose optimisation and sanitizers.
add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum -Wmissing-prototypes -Wvla
  -Wstrict-prototypes -Wpointer-arith -Wwrite-strings -Werror -fno-omit-frame-pointer)
add_compile_definitions(_GNU_SOURCE)

if(RINGSINK_SANITIZE OR RINGSINK_FUZZ)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(RINGSINK_SLOW_CHECKS)
endif()
if(RINGSINK_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(NOT RINGSINK_SANITIZE AND NOT RINGSINK_FUZZ)
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE)
  add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
