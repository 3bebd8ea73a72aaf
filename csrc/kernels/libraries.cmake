# The optional libraries of the kernels. A kernel whose library is missing is left out; the macros
# GILPOOL_HAS_<LIBRARY>, 0 or 1, tell everybody who links gilpool_kernels.

set(GILPOOL_WITH_OPENSSL AUTO CACHE STRING "Hash kernels by OpenSSL 3: AUTO (if found), ON or OFF")
set(GILPOOL_WITH_RE2 AUTO CACHE STRING "Regex kernels by RE2: AUTO (if found), ON or OFF")
foreach(library OPENSSL RE2)
  set_property(CACHE GILPOOL_WITH_${library} PROPERTY STRINGS AUTO ON OFF)
  if(NOT GILPOOL_WITH_${library} MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "GILPOOL_WITH_${library} is '${GILPOOL_WITH_${library}}': expected AUTO, ON or OFF")
  endif()
endforeach()

# gilpool_kernel_library(OPENSSL TARGET target FOUND bool VERSION text SOURCES file...)
function(gilpool_kernel_library library)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TARGET;FOUND;VERSION" "SOURCES")
  if(GILPOOL_WITH_${library} STREQUAL "ON" AND NOT arg_FOUND)
    message(FATAL_ERROR "GILPOOL_WITH_${library} is ON, but the library was not found")
  endif()
  if(arg_FOUND AND NOT GILPOOL_WITH_${library} STREQUAL "OFF")
    list(TRANSFORM arg_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/csrc/kernels/)
    target_sources(gilpool_kernels PRIVATE ${arg_SOURCES})
    target_link_libraries(gilpool_kernels PRIVATE ${arg_TARGET})
    target_compile_definitions(gilpool_kernels PUBLIC GILPOOL_HAS_${library}=1
                               PRIVATE GILPOOL_${library}_VERSION="${arg_VERSION}")
    message(STATUS "Kernels use ${library} ${arg_VERSION}")
  else()
    target_compile_definitions(gilpool_kernels PUBLIC GILPOOL_HAS_${library}=0)
    message(STATUS "Kernels do without ${library}")
  endif()
endfunction()

if(NOT GILPOOL_WITH_OPENSSL STREQUAL "OFF")
  find_package(OpenSSL 3 QUIET COMPONENTS Crypto)
endif()
gilpool_kernel_library(OPENSSL TARGET OpenSSL::Crypto FOUND "${OPENSSL_FOUND}"
                       VERSION "${OPENSSL_VERSION}" SOURCES hash.cpp)

if(NOT GILPOOL_WITH_RE2 STREQUAL "OFF")
  # RE2's own CMake package comes with newer versions only, and a static archive that is not
  # position-independent with older ones; pkg-config finds the shared library of either.
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(RE2 QUIET IMPORTED_TARGET re2)
    if(RE2_VERSION STREQUAL "0.0.0") # what older ones say of themselves
      set(RE2_VERSION "unversioned")
    endif()
  endif()
endif()
gilpool_kernel_library(RE2 TARGET PkgConfig::RE2 FOUND "${RE2_FOUND}" VERSION "${RE2_VERSION}"
                       SOURCES regex.cpp regex_syntax.cpp)
