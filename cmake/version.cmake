# The commit is written into results, so that a number can be traced to the code that made it.
find_package(Git QUIET)
set(RINGSINK_COMMIT "unknown")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_SOURCE_DIR} describe --always --dirty=+ --abbrev=7 --exclude=*
    OUTPUT_VARIABLE RINGSINK_COMMIT_FOUND OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(RINGSINK_COMMIT_FOUND)
    set(RINGSINK_COMMIT ${RINGSINK_COMMIT_FOUND})
  endif()
endif()
configure_file(${CMAKE_SOURCE_DIR}/cmake/version.h.in ${CMAKE_BINARY_DIR}/generated/version.h @ONLY)
