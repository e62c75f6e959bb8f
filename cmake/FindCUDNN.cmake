# Finds the headers of cuDNN 9 (its graph API), and the library where there is one. The program loads
# the library at run time (src/host/cuda/dynlib.c), so building needs the headers only.
#
# Looks at CUDNN_ROOT (variable or environment), beside the CUDA compiler, in the system's folders, and
# in Python's site-packages/nvidia/cudnn, where a wheel has libcudnn.so.9 and no libcudnn.so.
#
# Result: CUDNN_FOUND, CUDNN_INCLUDE_DIR, CUDNN_VERSION, CUDNN_LIBRARY (may be NOTFOUND)
file(GLOB _cudnn_wheels
  /usr/lib/python3*/*-packages/nvidia/cudnn
  /usr/local/lib/python3*/*-packages/nvidia/cudnn
  $ENV{HOME}/.local/lib/python3*/site-packages/nvidia/cudnn
  $ENV{VIRTUAL_ENV}/lib/python3*/site-packages/nvidia/cudnn)
get_filename_component(_cudnn_toolkit "${CMAKE_CUDA_COMPILER}" REALPATH)
get_filename_component(_cudnn_toolkit "${_cudnn_toolkit}" DIRECTORY)
get_filename_component(_cudnn_toolkit "${_cudnn_toolkit}" DIRECTORY)

find_path(CUDNN_INCLUDE_DIR cudnn_graph.h
  HINTS ${CUDNN_ROOT} $ENV{CUDNN_ROOT} ${_cudnn_toolkit} /usr/local/cuda ${_cudnn_wheels}
    ${NORMLAB_CUDA_CACHE}/nvidia/cudnn
  PATH_SUFFIXES include)
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 NAMES_PER_DIR
  HINTS ${CUDNN_ROOT} $ENV{CUDNN_ROOT} ${_cudnn_toolkit} /usr/local/cuda ${_cudnn_wheels}
    ${NORMLAB_CUDA_CACHE}/nvidia/cudnn
  PATH_SUFFIXES lib lib64)

if(CUDNN_INCLUDE_DIR AND EXISTS ${CUDNN_INCLUDE_DIR}/cudnn_version.h)
  file(STRINGS ${CUDNN_INCLUDE_DIR}/cudnn_version.h _cudnn_lines REGEX "#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) ")
  set(_cudnn_numbers "")
  foreach(_part IN ITEMS MAJOR MINOR PATCHLEVEL)
    string(REGEX MATCH "CUDNN_${_part} +([0-9]+)" _cudnn_match "${_cudnn_lines}")
    list(APPEND _cudnn_numbers ${CMAKE_MATCH_1})
  endforeach()
  list(JOIN _cudnn_numbers "." CUDNN_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CUDNN REQUIRED_VARS CUDNN_INCLUDE_DIR VERSION_VAR CUDNN_VERSION)
mark_as_advanced(CUDNN_INCLUDE_DIR CUDNN_LIBRARY)
