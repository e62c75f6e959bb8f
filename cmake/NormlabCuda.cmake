# Decides whether the CUDA backend is built: sets NORMLAB_WITH_CUDA and enables the language CUDA.
#
# OFF: no. ON: toolkit and cuDNN headers must be there. AUTO: builds for the CPU where either is
# missing and says which. The runtime is linked statically and cuDNN and cuBLAS are loaded at run time,
# so that the program starts on a machine that has none of them. find_package(CUDAToolkit) is not used:
# the one of CMake 3.25 stops with CUDA 13, and nothing but the compiler's own folders is needed.
set(NORMLAB_WITH_CUDA OFF)
if(NOT NORMLAB_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "NORMLAB_CUDA is ${NORMLAB_CUDA}: AUTO, ON or OFF")
endif()

function(normlab_cuda_missing what hint)
  if(NORMLAB_CUDA STREQUAL "ON")
    message(FATAL_ERROR "NORMLAB_CUDA=ON: ${what}. ${hint}, or configure with -DNORMLAB_CUDA=OFF")
  endif()
  message(STATUS "normlab: ${what}: building for the CPU only. ${hint} for the CUDA backend")
endfunction()

if(NORMLAB_CUDA STREQUAL "OFF")
  message(STATUS "normlab: NORMLAB_CUDA=OFF: building for the CPU only")
  return()
endif()

# sm_90 code, and PTX for everything else from sm_75 on. Developers: -DCMAKE_CUDA_ARCHITECTURES=90-real
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "90-real;75-virtual" CACHE STRING "CUDA architectures")
endif()
# what scripts/cuda.sh fetches
set(_cache "$ENV{XDG_CACHE_HOME}")
if(NOT _cache)
  set(_cache "$ENV{HOME}/.cache")
endif()
set(NORMLAB_CUDA_CACHE ${_cache}/normlab/cuda-13.0)
find_program(NORMLAB_NVCC nvcc HINTS $ENV{CUDACXX} $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin
  /usr/local/cuda/bin PATHS ${NORMLAB_CUDA_CACHE}/nvidia/cu13/bin DOC "the CUDA compiler")
mark_as_advanced(NORMLAB_NVCC)
if(NOT NORMLAB_NVCC)
  normlab_cuda_missing("no CUDA toolkit (nvcc) found" "Install it and put nvcc into PATH")
  return()
endif()
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${NORMLAB_NVCC})
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  normlab_cuda_missing("${NORMLAB_NVCC} cannot compile (it also needs g++)"
    "See CMakeFiles/CMakeError.log in the build folder")
  return()
endif()
find_package(CUDNN 9 QUIET)
find_path(CUBLAS_INCLUDE_DIR cublas_v2.h HINTS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}
  ${_cudnn_toolkit}/include /usr/local/cuda/include ${NORMLAB_CUDA_CACHE}/nvidia/cu13/include)
mark_as_advanced(CUBLAS_INCLUDE_DIR)
if(NOT CUDNN_FOUND)
  normlab_cuda_missing("no cuDNN 9 headers (cudnn_graph.h) found" "Install them or set CUDNN_ROOT")
  return()
endif()
if(NOT CUBLAS_INCLUDE_DIR)
  normlab_cuda_missing("no cuBLAS headers (cublas_v2.h) found" "Install them")
  return()
endif()

enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -lineinfo")
set(CMAKE_CUDA_FLAGS_DEBUG "-O1 -g -lineinfo")
set(NORMLAB_WITH_CUDA ON)
set(NORMLAB_CUDA_FOLDER cuda-13.0)
set(NORMLAB_LIBRARY_DIRS "")
if(CUDNN_LIBRARY)
  get_filename_component(NORMLAB_LIBRARY_DIRS ${CUDNN_LIBRARY} DIRECTORY)
endif()
message(STATUS "normlab: CUDA ${CMAKE_CUDA_COMPILER_VERSION}, cuDNN ${CUDNN_VERSION}, "
  "architectures ${CMAKE_CUDA_ARCHITECTURES}")
